/** What power, availability and a machine's own reports mean for the mail that runs through it. Pure. */
import type { GatewayState, Health } from "../../shared/api/gateway.ts";
import type { Aspect, ReportFinding } from "../../shared/api/heartbeat.ts";
import type { Condition } from "../../shared/api/tenant.ts";
import type { SeenMachine } from "../../shared/azure/fleet.ts";
import type { GatewayRecord, PastState, StateChange } from "../../shared/stores/gateways.ts";

export type Judgement = Omit<GatewayState, "since">;

/** What a sweep found out about one gateway: how it is, or that it could not be asked for. */
export type Finding = { found: "judged"; judgement: Judgement } | { found: "missed"; code: string };

/** What is heard of a machine by itself. One that never had anything to report by is judged by Azure alone. */
export interface Heard {
  silent: boolean;
  findings: readonly ReportFinding[];
}

export const wellHeard: Heard = { silent: false, findings: [] };

/**
 * Power first: Resource Health calls a machine unavailable that somebody switched off. Then its own reports: a machine that runs and is
 * silent is unknown, or down when Azure's agent on it doesn't answer either. Resource Health's silence says nothing: it says `Unknown`
 * whenever it has heard nothing for ten minutes (Microsoft's "Resource Health overview").
 */
export function judge(seen: SeenMachine | undefined, heard: Heard = wellHeard): Judgement {
  if (seen === undefined) return { health: "unknown", reason: "NotInAnswer" };
  const { power, availability } = seen;
  const off = power === undefined ? {} : { power };
  const details = { ...off, ...(availability === undefined ? {} : { availability }) };
  switch (power?.replace(/^PowerState\//i, "").toLowerCase()) {
    case "running":
      return availability === "Unavailable"
        ? { health: "unavailable", ...details, reason: "PlatformUnavailable" }
        : { ...details, ...judgeRunning(seen, heard) };
    case "starting":
      return { health: "stopped", ...off, reason: "Starting" };
    case "stopping":
    case "stopped":
      return { health: "stopped", ...off, reason: "Stopped" };
    case "deallocating":
    case "deallocated":
      return { health: "stopped", ...off, reason: "Deallocated" };
  }
  return { health: "unknown", ...details, reason: "PowerStateMissing" };
}

function judgeRunning({ availability, agent }: SeenMachine, { silent, findings }: Heard): Judgement {
  if (silent) {
    if (agent === undefined) return { health: "unknown", reason: "Silent" };
    return agent === "Ready"
      ? { health: "unknown", agent, reason: "Silent" }
      : { health: "unavailable", agent, reason: "NotResponding" };
  }
  const told = findings.length === 0 ? {} : { findings: [...findings] };
  const errors = findings.filter(({ level }) => level === "error").map(({ about }) => about);
  const worst = errors.find((about) => about !== "badmail") ?? errors[0];
  if (worst !== undefined) return { health: worst === "badmail" ? "degraded" : "failing", ...told, reason: reasons[worst] };
  return { health: "healthy", ...told, reason: availability === "Degraded" ? "Degraded" : "Running" };
}

/** Of errors. Badmail alone keeps no other mail from coming through. */
const reasons: Record<Aspect, string> = {
  queue: "MailWaits",
  service: "SmtpServiceStopped",
  certificate: "CertificateExpired",
  smtp: "DeliveryRefused",
  badmail: "BadmailPilesUp",
};

export const missing: Judgement = { health: "unknown", reason: "VirtualMachineMissing" };

/** Who is silent or doesn't respond ran when it was looked at. */
export const isSilent = ({ reason }: Pick<GatewayState, "reason">): boolean => reason === "Silent" || reason === "NotResponding";

const running: readonly Health[] = ["healthy", "degraded", "failing"];

/**
 * What is known of a machine that an answer with only the exceptions leaves out: if it ran when it was last seen, it still does. Of one that
 * didn't, nothing: that nobody names it any more may also mean that it is gone.
 */
export function presumed(state: GatewayState): SeenMachine | undefined {
  const { health, power = "PowerState/running", availability, agent } = state;
  if (!running.includes(health) && !isSilent(state)) return undefined;
  const exceptional = availability === "Degraded" || availability === "Unavailable";
  return { power, availability: exceptional ? undefined : availability, agent };
}

/** Whether somebody looks at the machine itself before this is said of it: Azure's word against a machine may be late. */
export const needsLook = (judgement: Judgement, { health }: GatewayState): boolean =>
  judgement.health !== health && !running.includes(judgement.health);

/** After this many sweeps in a row that could not ask, nobody can say any more that a gateway is well. */
export const MISSES_UNTIL_UNKNOWN = 3;

/** The next state of a gateway, `undefined` when nothing changes. A change of health is owed to whoever listens, under a new event's id. */
export function changeOf(
  { state, misses, owed, past = [] }: GatewayRecord,
  finding: Finding,
  at: string,
  newEventId: () => string,
): StateChange | undefined {
  const become = (judgement: Judgement, nextMisses: number): StateChange => {
    const sameHealth = judgement.health === state.health;
    const after = { ...judgement, since: sameHealth ? state.since : at };
    if (sameHealth) return { state: after, misses: nextMisses, owed, past };
    const event = { id: newEventId(), at, before: state, after };
    return { state: after, misses: nextMisses, owed: [...owed, event], past: withPast(past, state, at) };
  };
  if (finding.found === "judged")
    return misses === 0 && sameState(state, finding.judgement) ? undefined : become(finding.judgement, 0);
  if (state.health === "unknown") return undefined;
  if (misses + 1 < MISSES_UNTIL_UNKNOWN) return { state, misses: misses + 1, owed, past };
  return become({ health: "unknown", reason: finding.code }, misses + 1);
}

/** A quarter, and of who flaps the last changes: the row that many gateways share has to stay small. */
const PAST_IN_DAYS = 90;
const MOST_PAST_STATES = 64;

function withPast(past: readonly PastState[], { health, since }: GatewayState, at: string): PastState[] {
  const oldest = new Date(Date.parse(at) - PAST_IN_DAYS * 24 * 3600 * 1000).toISOString();
  // What was before the oldest moment that is shown says how it was at that moment.
  const first = past.findLastIndex((one) => one.since <= oldest);
  return [...past.slice(Math.max(0, first)), { health, since }].slice(-MOST_PAST_STATES);
}

const sameState = (one: Judgement, other: Judgement): boolean =>
  one.health === other.health &&
  one.reason === other.reason &&
  one.power === other.power &&
  one.availability === other.availability &&
  one.agent === other.agent &&
  JSON.stringify(one.findings ?? []) === JSON.stringify(other.findings ?? []);

const fromWorst: Health[] = ["stopped", "unavailable", "failing", "unknown", "degraded", "healthy"];
export const byWorst = (one: Health, other: Health): number => fromWorst.indexOf(one) - fromWorst.indexOf(other);
const statuses: Record<Health, Condition["status"]> = {
  healthy: "True",
  degraded: "False",
  failing: "False",
  stopped: "False",
  unavailable: "False",
  unknown: "Unknown",
};

/** A tenant's gateways are as well as the worst of them. */
export function conditionOf(gateways: readonly GatewayRecord[]): Omit<Condition, "since"> | undefined {
  const [worst] = gateways.toSorted((a, b) => byWorst(a.state.health, b.state.health));
  if (!worst) return undefined;
  const { state, id } = worst;
  return { type: "GatewayHealthy", status: statuses[state.health], reason: state.reason, message: messageOf(id, state) };
}

const messageOf = (id: string, { health, reason }: GatewayState): string => messages[health](id, reason);

const messages: Record<Health, (id: string, reason: string) => string> = {
  healthy: (id) => `gateway ${id} runs`,
  degraded: (id) => `mail piles up in the badmail folder of gateway ${id}; look at it and empty it`,
  failing: (id, reason) => `gateway ${id} runs, and mail doesn't come through: ${failures[reason] ?? reason}`,
  stopped: (id, reason) =>
    `the virtual machine of gateway ${id} is ${reason === "Deallocated" ? "deallocated" : "stopped"}; start it, or its mail waits`,
  unavailable: (id, reason) =>
    reason === "NotResponding"
      ? `gateway ${id} is silent, and Azure's agent on its virtual machine does not answer; restart the machine`
      : `Azure says that the virtual machine of gateway ${id} is not available`,
  unknown: (id, reason) => unknowns[reason]?.(id) ?? `nobody could tell how gateway ${id} is: ${reason}`,
};

const failures: Record<string, string> = {
  [reasons.queue]: "too much waits in its queue, or for too long",
  [reasons.service]: "its SMTP service does not run",
  [reasons.certificate]: "the certificate that it shows has expired",
  [reasons.smtp]: "Microsoft 365 does not take mail from it",
};

const unknowns: Record<string, (id: string) => string> = {
  VirtualMachineMissing: (id) => `the virtual machine of gateway ${id} is not there any more`,
  Silent: (id) => `the virtual machine of gateway ${id} runs, and three of its heartbeats are missing`,
};
