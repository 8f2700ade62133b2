/** What heartbeat.ps1 posts from a simulated machine. */
import { createHash } from "node:crypto";
import * as z from "zod";
import { type Estate, keyOf, type Stored } from "../arm/estate.ts";
import { outboundOf } from "../arm/outbound.ts";
import type { Collection, Platform } from "../simulator.ts";
import { appliedOf } from "./engine.ts";
import { type GuestState, tlsCertificateOf } from "./state.ts";
import { MINUTE, seconds, startTask, type TaskMachine } from "./tasks.ts";

const PROBE_EVERY_MINUTES = 15;

const settingsSchema = z.object({
  url: z.string(),
  audience: z.string(),
  identityClientId: z.string(),
  fqdn: z.string(),
  probe: z.object({ host: z.string(), recipient: z.string() }).optional(),
  services: z.array(z.string()),
  directoryFile: z.string().optional(),
});
type Settings = z.output<typeof settingsSchema>;

interface Probe {
  at: string;
  host: string;
  stage: string;
  reply: string;
}

export type Post = (url: string, init: { method: "POST"; headers: Record<string, string>; body: string }) => Promise<Response>;

export function startHeartbeats(platform: Platform, post: Post = globalThis.fetch): { stop(): void } {
  const probes: Collection<Probe> = platform.collection("guest.probes");
  const read: Collection<{ lines: number }> = platform.collection("guest.smtp-log-read");
  return startTask(platform, {
    task: "Heartbeat",
    script: "heartbeat",
    version: 1,
    settings: settingsSchema,
    run: async (there, settings) => {
      const probe = recentProbe(probes, there, settings);
      const log = platform.peers.smtpLog?.(there.guest.virtualMachineId) ?? [];
      const key = keyOf(there.guest.virtualMachineId);
      const refused = there.guest.metabase === undefined ? null : refusedIn(log.slice(read.get(key)?.lines ?? 0));
      const body = { ...bodyOf(there, settings, probe), refused };
      const told = { method: "HEARTBEAT", url: settings.url, requestBody: body };
      const token = await there.token(settings);
      if (token === undefined) return platform.note("arm", { ...told, status: 400 });
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const response = await post(settings.url, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => undefined);
      // Nobody at that address, as a scheduled task would find out: the next one comes in ten minutes.
      platform.note("arm", { ...told, status: response?.status ?? 502 });
      if (response?.ok) read.set(key, { lines: log.length });
      await response?.body?.cancel();
    },
  });
}

function recentProbe(
  probes: Collection<Probe>,
  { platform, estate, guest, machine }: TaskMachine,
  { probe }: Settings,
): Probe | undefined {
  if (probe === undefined) return undefined;
  const key = keyOf(guest.virtualMachineId);
  const kept = probes.get(key);
  const age = kept === undefined ? Number.POSITIVE_INFINITY : platform.now() - Date.parse(kept.at);
  if (kept !== undefined && age < PROBE_EVERY_MINUTES * MINUTE * platform.tempo) return kept;
  const made = { at: seconds(platform.now()), host: probe.host, ...probed(platform, estate, machine, probe) };
  probes.set(key, made);
  return made;
}

function bodyOf({ platform, guest }: TaskMachine, settings: Settings, probe: Probe | undefined): object {
  const now = platform.now();
  const counts = platform.peers.mailQueue?.(guest.virtualMachineId);
  const folders = guest.metabase !== undefined && counts !== undefined;
  const age = (since: number | undefined): number | null =>
    since === undefined ? null : Math.max(0, Math.floor((now - since) / 1000));
  const certificate = tlsCertificateOf(guest, settings.fqdn);
  return {
    version: 1,
    sentAt: seconds(now),
    queue: folders ? { count: counts.queued, oldestAgeInSeconds: age(counts.oldestQueuedAt) } : null,
    badmail: folders ? { count: counts.badmail, oldestAgeInSeconds: null } : null,
    services: settings.services.map((name) => ({ name, state: guest.services[name]?.state ?? "Missing" })),
    certificate:
      certificate === undefined
        ? null
        : {
            thumbprint: certificate.thumbprint,
            notAfter: seconds(certificate.notAfter),
            selfSigned: certificate.selfSigned,
          },
    probe: probe ?? null,
    applied: appliedOf(guest),
    ...(settings.directoryFile === undefined ? {} : { directory: directoryOf(guest, settings.directoryFile) }),
    scanners: Object.keys(guest.services).filter((name) => /^(Cylance|SepMasterService$|Sophos|CiscoAMP)/i.test(name)),
  };
}

const RESPONSE = /^(\S+) (\S+) (\S+) OutboundConnectionResponse (?:\S+ )*?([245]\d\d[+-]\S+)/;

/** What Microsoft 365 refused, by code: nobody's address, and no words. */
function refusedIn(lines: string[]): { reply: string; count: number; lastAt: string }[] {
  const microsofts = new Set<string>();
  const refused = new Map<string, { reply: string; count: number; lastAt: string }>();
  for (const line of lines) {
    const [, date, time, address = "", said = ""] = RESPONSE.exec(line) ?? [];
    if (/protection\.outlook\./i.test(said)) microsofts.add(address);
    const [, status, code] = /^([45]\d\d)[+-]([45]\.\d{1,3}\.\d{1,3})(?!\d)/.exec(said) ?? [];
    if (code === undefined || !microsofts.has(address)) continue;
    const listed = code === "5.7.1" && /delist@microsoft\.com|blocked\+using\+blocklist/i.test(said);
    const reply = `${status} ${code}${listed ? " blocked using blocklist" : ""}`;
    refused.set(reply, { reply, count: (refused.get(reply)?.count ?? 0) + 1, lastAt: `${date}T${time}Z` });
  }
  return [...refused.values()].toReversed().slice(0, 20);
}

/** As far as RCPT TO from the machine's own address; port 25 may be closed to it altogether. */
function probed(
  platform: Platform,
  estate: Estate,
  machine: Stored,
  { host, recipient }: { host: string; recipient: string },
): Pick<Probe, "stage" | "reply"> {
  const { address, smtp } = outboundOf(estate, machine);
  const receiver = (platform.peers.lookup?.(host, "A") ?? [])
    .map((there) => platform.peers.mailReceiverAt?.(there))
    .find((one) => one !== undefined);
  if (!smtp || address === undefined || receiver === undefined) return { stage: "connect", reply: "" };
  if (!receiver.startTls) return { stage: "STARTTLS", reply: "500 5.3.3 Unrecognized command" };
  return { stage: "RCPT", reply: receiver.refuses(address, "", recipient, undefined) ?? "250 2.1.5 Recipient OK" };
}

function directoryOf({ files }: GuestState, path: string): { hash: string; at: string } | null {
  const there = files[path.toLowerCase()];
  if (there === undefined) return null;
  return { hash: createHash("sha256").update(there.text).digest("hex"), at: seconds(there.writtenAt ?? 0) };
}
