/**
 * Canary mails: one in each direction, seen where they arrive and traced on their way. What they show is evidence beside the probe mail:
 * how often a mail met the gateway, where its loop header is and where it isn't, and what the spam filter made of it.
 */
import type { Failure } from "../../shared/durable/steps.ts";
import { failureFrom } from "../../shared/durable/steps.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import type { Loop } from "../../shared/desired/state.ts";
import type { ArrivedProbe } from "../../shared/graph/mail.ts";
import type { MessageTrace } from "../../shared/graph/message-traces.ts";
import type { Observed } from "../../shared/resources/resource.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { OnboardingWorld } from "./world.ts";

export const directions = ["internal", "out", "in"] as const;
type Direction = (typeof directions)[number];

/** What one mail showed. */
export interface CanaryMail {
  direction: Direction;
  verdict: "pass" | "fail" | "unknown";
  /** The evidence, in words. */
  message: string;
  /** How often it came back from the gateway. */
  throughGateway?: number;
  /** How often it carries the loop header where it arrived. */
  loopHeaders?: number;
  /** What Microsoft 365 made of it where it arrived. */
  spam?: { level: string | null; verdict: string | null };
  /** By message trace: out to the gateway's address and back from it. */
  trace?: { verdict: "pass" | "fail" | "unknown"; message: string };
}

export interface CanaryLook {
  mails: CanaryMail[];
  /** Nothing more is to be seen of these mails. */
  ended: boolean;
  /** A mail went round: no use in sending another. */
  looped: boolean;
}

interface CanaryRound {
  work: Work;
  loop: Loop;
  round: number;
}

interface Mailbox {
  organization: string;
  address: string;
}

const STEP = "canaryMail";
const subjectOf = ({ work, round }: CanaryRound, direction: Direction): string =>
  `Gatehouse canary ${work.operationId} ${direction} ${round}`;

export const createCanaryActivities = (world: OnboardingWorld) => {
  const { probes, traces, vaults, clock, canaryMailbox } = world;
  const { operations } = world.stores;
  const recorded = recordingSteps(world.stores);

  /** Sender and recipient; nobody outside where the platform has no mailbox there. */
  const wayOf = ({ organization, probeMailbox }: Loop, direction: Direction): [Mailbox, Mailbox] | undefined => {
    const inside = { organization, address: probeMailbox };
    if (direction === "internal") return [inside, inside];
    if (!canaryMailbox) return undefined;
    return direction === "out" ? [inside, canaryMailbox] : [canaryMailbox, inside];
  };

  async function look(of: CanaryRound & { sentAt: number }, direction: Direction, loopGuid: string): Promise<Seen> {
    const { loop, sentAt } = of;
    const way = wayOf(loop, direction);
    if (!way) return { mail: nobodyOutside(direction), ended: true, looped: false };
    const [sender, recipient] = way;
    const subject = subjectOf(of, direction);
    const arrived = await probes.findProbe(recipient.organization, recipient.address, subject);
    const returned =
      arrived.state === "arrived" ? undefined : await probes.findReport(sender.organization, sender.address, subject);
    const mail = { senderAddress: sender.address, recipientAddress: recipient.address, subject, sentAt };
    const traced = await traces.tracesOf(loop.organization, mail, clock.now());
    return judged({ direction, loop, loopGuid, arrived, returned, traced });
  }

  return {
    /** Each once: a second call sends what the first one could not. */
    sendCanary: (of: CanaryRound): Promise<{ sentAt: number }> =>
      recorded(of.work, STEP, async () => {
        const { partnerId, operationId } = of.work;
        const message = `waiting for marked mails of ${of.loop.probeMailbox} to go out, come in and come back`;
        await operations.recordProgress(partnerId, operationId, { waitingFor: { kind: "propagation", message } });
        const sentAt = clock.now();
        for (const direction of directions) {
          const way = wayOf(of.loop, direction);
          if (!way) continue;
          const [sender, recipient] = way;
          const subject = subjectOf(of, direction);
          await probes.sendProbe(sender.organization, sender.address, { subject, to: recipient.address, nonce: subject });
        }
        return { result: { sentAt }, running: true };
      }),

    checkCanary: async (of: CanaryRound & { sentAt: number }): Promise<CanaryLook> => {
      const loopGuid = await vaults.read(of.loop.loopGuid, of.loop.vaultTenantId);
      const seen: Seen[] = [];
      for (const direction of directions) seen.push(await look(of, direction, loopGuid));
      return {
        mails: seen.map(({ mail }) => mail),
        ended: seen.every(({ ended }) => ended),
        looped: seen.some(({ looped }) => looped),
      };
    },

    /** What fails ends the onboarding; what can't be told doesn't. */
    judgeCanary: async ({
      work,
      mails,
      looped,
    }: { work: Work } & Pick<CanaryLook, "mails" | "looped">): Promise<{
      failure?: Failure;
    }> => {
      const { partnerId, operationId } = work;
      const failed = mails.filter(({ verdict }) => verdict === "fail");
      const [first] = failed;
      await operations.recordProgress(partnerId, operationId, { waitingFor: null });
      if (!first) {
        await operations.recordStep(partnerId, operationId, STEP, { status: "Succeeded" });
        return {};
      }
      const code = looped ? "MailLoops" : "CanaryFailed";
      const details = failed.map(({ message }) => ({ code, message }));
      const message = `${first.message}; no production mail was moved`;
      const failure = failureFrom(new ControlPlaneError(code, message, 409, false, { details }));
      await operations.recordStep(partnerId, operationId, STEP, { status: "Failed", error: detailOf(failure) });
      return { failure };
    },
  };
};

interface Seen {
  mail: CanaryMail;
  ended: boolean;
  looped: boolean;
}

const titles: Record<Direction, string> = {
  internal: "the mail inside the organisation",
  out: "the mail to the world",
  in: "the mail from the world",
};

const nobodyOutside = (direction: Direction): CanaryMail => ({
  direction,
  verdict: "unknown",
  message: `${titles[direction]} was not sent: the platform has no mailbox outside (CANARY_MAILBOX)`,
});

export interface Sighting {
  direction: Direction;
  loop: Pick<Loop, "loopHeader" | "egressIps" | "incoming">;
  loopGuid: string;
  /** In the recipient's mailbox. */
  arrived: ArrivedProbe | Exclude<Observed<unknown>, { state: "present" }>;
  /** In the sender's mailbox: why it came back, where it did. */
  returned: Observed<{ text: string }> | undefined;
  traced: Observed<MessageTrace[]>;
}

/** More servers than Exchange Online lets a mail pass. Source: table of NDR codes. */
const LOOP = /5\.4\.14|5\.4\.6|hop count|mail loop/i;

/** Pure. A mail from the world meets the gateway only where the spec has incoming mail forwarded, too. */
export function judged({ direction, loop, loopGuid, arrived, returned, traced }: Sighting): Seen {
  const { loopHeader, egressIps, incoming } = loop;
  const title = titles[direction];
  const wanted = direction === "in" && incoming !== true ? 0 : 1;
  const trace = wanted === 0 ? undefined : traceOf(traced, egressIps);
  const rounds = traced.state === "present" ? traced.actual.filter(({ toIp }) => egressIps.includes(toIp ?? "")).length : 0;
  const found = (verdict: CanaryMail["verdict"], message: string, more: Partial<CanaryMail> = {}): CanaryMail => ({
    direction,
    verdict,
    message: `${title} ${message}`,
    ...more,
    ...(trace ? { trace } : {}),
  });
  const looped = (times: string, more: Partial<CanaryMail> = {}): Seen => ({
    mail: found("fail", `went round: ${times}`, more),
    ended: true,
    looped: true,
  });

  if (arrived.state === "unknown") {
    const { code, message } = arrived.reason;
    return { mail: found("unknown", `could not be looked for: ${code}: ${message}`), ended: true, looped: false };
  }
  if (arrived.state === "absent") {
    if (returned?.state === "present" && LOOP.test(returned.actual.text)) return looped("it was returned as a loop");
    if (rounds > 1) return looped(`it was handed to the gateway ${rounds} times`);
    if (returned?.state === "present") return { mail: found("fail", "was returned to its sender"), ended: true, looped: false };
    return { mail: found("fail", "has not arrived"), ended: false, looped: false };
  }

  const { headers, receivedHops } = arrived;
  const throughGateway = receivedHops.filter((hop) => egressIps.some((address) => comesFrom(hop, address))).length;
  const marks = headers.filter(({ name }) => name.toLowerCase() === loopHeader.toLowerCase());
  const seen = { throughGateway, loopHeaders: marks.length, spam: spamOf(headers) };
  if (throughGateway > 1) return looped(`it came back from the gateway ${throughGateway} times`, seen);
  const ours = marks.every(({ value }) => value.trim() === loopGuid);
  const marksWanted = direction === "out" ? 0 : wanted;
  const right = throughGateway === wanted && marks.length === marksWanted && ours;
  const way = `${throughGateway === 0 ? "did not meet the gateway" : "met the gateway once"} and carries the loop header ${marks.length === 1 ? "once" : `${marks.length} times`}`;
  const mail = found(
    right ? "pass" : "fail",
    `${way}${right ? "" : `, not ${marksWanted === 1 ? "once" : "never"} as it should`}`,
    seen,
  );
  // Traces come minutes after the mail.
  return { mail, ended: !right || trace?.verdict !== "unknown" || traced.state === "unknown", looped: false };
}

/** `from gateway.example (203.0.113.10) by …`: the address is what the receiving server saw. */
const comesFrom = (hop: string, address: string): boolean =>
  new RegExp(`[[(]${address.replaceAll(".", "\\.")}[\\])]`).test(hop.split(" by ")[0] ?? "");

function traceOf(traced: Observed<MessageTrace[]>, egressIps: string[]): NonNullable<CanaryMail["trace"]> {
  if (traced.state !== "present") {
    const { code, message } = traced.state === "unknown" ? traced.reason : { code: "NotTraced", message: "no trace" };
    return { verdict: "unknown", message: `${code}: ${message}` };
  }
  const out = traced.actual.filter(({ toIp }) => egressIps.includes(toIp ?? ""));
  const back = traced.actual.filter(({ fromIp }) => egressIps.includes(fromIp ?? ""));
  const address = out[0]?.toIp ?? back[0]?.fromIp ?? "";
  if (out.length === 1 && back.length === 1)
    return { verdict: "pass", message: `handed to ${address}, and back from there: ${back[0]?.status ?? ""}` };
  if (out.length > 1 || back.length > 1)
    return { verdict: "fail", message: `handed to ${address} ${out.length} times, and back ${back.length} times` };
  return { verdict: "unknown", message: "not both ways are in the message trace yet" };
}

/** "Anti-spam message headers in Microsoft 365". */
function spamOf(headers: ArrivedProbe["headers"]): NonNullable<CanaryMail["spam"]> {
  const valueOf = (wanted: string): string | undefined =>
    headers.find(({ name }) => name.toLowerCase() === wanted.toLowerCase())?.value;
  const report = valueOf("X-Forefront-Antispam-Report");
  const part = (name: string): string | null => new RegExp(`(?:^|;)\\s*${name}:([^;]*)`).exec(report ?? "")?.[1] ?? null;
  return { level: valueOf("X-MS-Exchange-Organization-SCL") ?? part("SCL"), verdict: part("SFV") };
}
