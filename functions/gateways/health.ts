/** What a machine's power and availability mean for the mail that runs through it. Pure. */
import type { GatewayState, Health } from "../../shared/api/gateway.ts";
import type { Condition } from "../../shared/api/tenant.ts";
import type { SeenMachine } from "../../shared/azure/fleet.ts";
import type { GatewayRecord, StateChange } from "../../shared/stores/gateways.ts";

export type Judgement = Omit<GatewayState, "since">;

/** What a sweep found out about one gateway: how it is, or that it could not be asked for. */
export type Finding = { found: "judged"; judgement: Judgement } | { found: "missed"; code: string };

/**
 * Power first: Resource Health calls a machine unavailable that somebody switched off. A machine that runs and of which Resource Health
 * knows nothing counts as healthy: it says `Unknown` whenever it has heard nothing for ten minutes (Microsoft's "Resource Health overview").
 */
export function judge(seen: SeenMachine | undefined): Judgement {
  if (seen === undefined) return { health: "unknown", reason: "NotInAnswer" };
  const { power, availability } = seen;
  const details = { ...(power === undefined ? {} : { power }), ...(availability === undefined ? {} : { availability }) };
  switch (power?.replace(/^PowerState\//i, "").toLowerCase()) {
    case "running":
      return availability === "Unavailable"
        ? { health: "unavailable", ...details, reason: "PlatformUnavailable" }
        : { health: "healthy", ...details, reason: availability === "Degraded" ? "Degraded" : "Running" };
    case "starting":
      return { health: "stopped", ...details, reason: "Starting" };
    case "stopping":
    case "stopped":
      return { health: "stopped", ...details, reason: "Stopped" };
    case "deallocating":
    case "deallocated":
      return { health: "stopped", ...details, reason: "Deallocated" };
  }
  return { health: "unknown", ...details, reason: "PowerStateMissing" };
}

export const missing: Judgement = { health: "unknown", reason: "VirtualMachineMissing" };

/** After this many sweeps in a row that could not ask, nobody can say any more that a gateway is well. */
export const MISSES_UNTIL_UNKNOWN = 3;

/** The next state of a gateway, `undefined` when nothing changes. A change of health is owed to whoever listens, under a new event's id. */
export function changeOf(
  { state, misses, owed }: GatewayRecord,
  finding: Finding,
  at: string,
  newEventId: () => string,
): StateChange | undefined {
  const become = (judgement: Judgement, nextMisses: number): StateChange => {
    const sameHealth = judgement.health === state.health;
    const after = { ...judgement, since: sameHealth ? state.since : at };
    return {
      state: after,
      misses: nextMisses,
      owed: sameHealth ? owed : [...owed, { id: newEventId(), at, before: state, after }],
    };
  };
  if (finding.found === "judged")
    return misses === 0 && sameState(state, finding.judgement) ? undefined : become(finding.judgement, 0);
  if (state.health === "unknown") return undefined;
  if (misses + 1 < MISSES_UNTIL_UNKNOWN) return { state, misses: misses + 1, owed };
  return become({ health: "unknown", reason: finding.code }, misses + 1);
}

const sameState = (one: Judgement, other: Judgement): boolean =>
  one.health === other.health &&
  one.reason === other.reason &&
  one.power === other.power &&
  one.availability === other.availability;

const fromWorst: Health[] = ["stopped", "unavailable", "unknown", "healthy"];
const statuses: Record<Health, Condition["status"]> = {
  healthy: "True",
  stopped: "False",
  unavailable: "False",
  unknown: "Unknown",
};

/** A tenant's gateways are as well as the worst of them. */
export function conditionOf(gateways: readonly GatewayRecord[]): Omit<Condition, "since"> | undefined {
  const [worst] = gateways.toSorted((a, b) => fromWorst.indexOf(a.state.health) - fromWorst.indexOf(b.state.health));
  if (!worst) return undefined;
  const { state, id } = worst;
  return { type: "GatewayHealthy", status: statuses[state.health], reason: state.reason, message: messageOf(id, state) };
}

const messageOf = (id: string, { health, reason }: GatewayState): string => messages[health](id, reason);

const messages: Record<Health, (id: string, reason: string) => string> = {
  healthy: (id) => `gateway ${id} runs`,
  stopped: (id, reason) =>
    `the virtual machine of gateway ${id} is ${reason === "Deallocated" ? "deallocated" : "stopped"}; start it, or its mail waits`,
  unavailable: (id) => `Azure says that the virtual machine of gateway ${id} is not available`,
  unknown: (id, reason) =>
    reason === "VirtualMachineMissing"
      ? `the virtual machine of gateway ${id} is not there any more`
      : `nobody could tell how gateway ${id} is: ${reason}`,
};
