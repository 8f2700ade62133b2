/**
 * Plays the heartbeat script on simulated machines: whoever has its scheduled task, its files and a running Windows posts what
 * shared/guest/heartbeat.ps1 would, on the task's modelled schedule, with a token of the identity that is assigned to the machine.
 */
import * as z from "zod";
import { createEstate, keyOf, sameId, type Estate, type Stored } from "../arm/estate.ts";
import { createFailures } from "../arm/failures.ts";
import { createOperations } from "../arm/operations.ts";
import { outboundOf } from "../arm/outbound.ts";
import type { Collection, Platform } from "../simulator.ts";
import { appliedOf } from "./engine.ts";
import { type GuestState, type ScheduledTask, tlsCertificateOf } from "./state.ts";

const TASK = "Heartbeat";
const SCRIPT = "c:\\program files\\gatehouse\\heartbeat.ps1";
const SETTINGS = "c:\\program files\\gatehouse\\heartbeat.json";
const MINUTE = 60_000;
const PROBE_EVERY_MINUTES = 15;
/** Even at tempo 0 machines don't report without a pause. */
const SHORTEST_ROUND_IN_MILLISECONDS = 1000;

const settingsSchema = z.object({
  url: z.string(),
  audience: z.string(),
  identityClientId: z.string(),
  fqdn: z.string(),
  probe: z.object({ host: z.string(), recipient: z.string() }).optional(),
  services: z.array(z.string()),
});
type Settings = z.output<typeof settingsSchema>;

interface Probe {
  at: string;
  host: string;
  stage: string;
  reply: string;
}

interface Beats {
  lastAt: number;
  probe?: Probe;
}

export type Post = (url: string, init: { method: "POST"; headers: Record<string, string>; body: string }) => Promise<Response>;

/** A look at all machines each modelled minute; `stop` ends it. */
export function startHeartbeats(platform: Platform, post: Post = globalThis.fetch): { stop(): void } {
  // A second look at what ARM keeps; nothing is written through it.
  const estate = createEstate(platform, createOperations(platform), createFailures());
  const beats: Collection<Beats> = platform.collection("guest.heartbeats");
  let stopped = false;
  let timer: { cancel(): void };
  const round = async (): Promise<void> => {
    await Promise.allSettled(estate.guests.values().map((guest) => beatWhenDue(guest)));
    if (!stopped) next();
  };
  const next = (): void => {
    timer = platform.after(Math.max(SHORTEST_ROUND_IN_MILLISECONDS, MINUTE * platform.tempo), () => void round());
  };

  async function beatWhenDue(guest: GuestState): Promise<void> {
    const task = guest.tasks[TASK];
    const machine = estate.resource(guest.virtualMachineId);
    if (task?.enabled !== true || machine?.facts["power"] !== "running" || machine.facts["outage"] === true) return;
    const key = keyOf(guest.virtualMachineId);
    const before = beats.get(key);
    if (platform.now() < dueAt(task, before, platform.tempo)) return;
    beats.set(key, { ...before, lastAt: platform.now() });
    const settings = settingsOf(guest);
    if (settings === undefined) return;
    const probe = recentProbe(settings, before?.probe, machine);
    beats.set(key, { lastAt: platform.now(), ...(probe === undefined ? {} : { probe }) });
    await send(guest, machine, settings, bodyOf(platform, guest, settings, probe));
  }

  async function send(guest: GuestState, machine: Stored, settings: Settings, body: unknown): Promise<void> {
    const told = { method: "HEARTBEAT", url: settings.url, requestBody: body };
    const token = assigned(platform, machine, settings.identityClientId)
      ? await platform.peers.tokenForIdentity?.(settings.identityClientId, settings.audience)
      : undefined;
    // The metadata endpoint's own answer to an identity that the machine has not.
    if (token === undefined) return platform.note("arm", { ...told, status: 400 });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const response = await post(settings.url, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => undefined);
    // Nobody at that address, as a scheduled task would find out: the next one comes in ten minutes.
    platform.note("arm", { ...told, status: response?.status ?? 502 });
    await response?.body?.cancel();
  }

  function recentProbe({ probe, fqdn: _fqdn }: Settings, kept: Probe | undefined, machine: Stored): Probe | undefined {
    if (probe === undefined) return undefined;
    const age = kept === undefined ? Number.POSITIVE_INFINITY : platform.now() - Date.parse(kept.at);
    if (kept !== undefined && age < PROBE_EVERY_MINUTES * MINUTE * platform.tempo) return kept;
    return { at: seconds(platform.now()), host: probe.host, ...probed(platform, estate, machine, probe) };
  }

  next();
  return {
    stop: () => {
      stopped = true;
      timer.cancel();
    },
  };
}

/** A task first runs a minute after it was registered. */
const dueAt = ({ registeredAt, everyInMinutes }: ScheduledTask, beats: Beats | undefined, tempo: number): number =>
  beats === undefined || beats.lastAt < registeredAt
    ? registeredAt + MINUTE * tempo
    : beats.lastAt + everyInMinutes * MINUTE * tempo;

function settingsOf({ files }: GuestState): Settings | undefined {
  if (!files[SCRIPT]?.text.startsWith("# gatehouse-guest-heartbeat 1")) return undefined;
  try {
    return settingsSchema.parse(JSON.parse(files[SETTINGS]?.text ?? ""));
  } catch {
    return undefined;
  }
}

function bodyOf(platform: Platform, guest: GuestState, settings: Settings, probe: Probe | undefined): unknown {
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
    scanners: Object.keys(guest.services).filter((name) => /^(Cylance|SepMasterService$|Sophos|CiscoAMP)/i.test(name)),
  };
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

/** The metadata endpoint gives tokens only of identities that are assigned to the machine. */
function assigned({ peers }: Platform, { body }: Stored, clientId: string): boolean {
  const { userAssignedIdentities = {} } = (body["identity"] ?? {}) as { userAssignedIdentities?: Record<string, unknown> };
  const identity = peers.identities?.().find((one) => sameId(one.clientId, clientId));
  return identity !== undefined && Object.keys(userAssignedIdentities).some((id) => sameId(id, identity.resourceId));
}

const seconds = (time: number): string => `${new Date(time).toISOString().slice(0, 19)}Z`;
