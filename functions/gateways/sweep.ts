/**
 * One look at the whole fleet: a set of pages for each Entra tenant, often only of what is down, the machines that are silent or have
 * something to say, a second look at whatever is suspicious, and one transaction for a partner's packed rows in which something changed. A
 * change is written first, together with the event that is owed for it, and told afterwards: whoever dies in between leaves the debt to
 * the next sweep, and two sweeps at once tell it under the same id.
 */
import { randomUUID } from "node:crypto";
import type { Clock } from "../../shared/clock.ts";
import type { Fleet, SeenMachine, Which } from "../../shared/azure/fleet.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { FleetRow, GatewayRecord } from "../../shared/stores/gateways.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import {
  changeOf,
  conditionOf,
  type Finding,
  type Heard,
  isSilent,
  judge,
  missing,
  needsLook,
  presumed,
  wellHeard,
} from "./health.ts";

export interface SweepWorld {
  stores: Pick<Stores, "gateways" | "events" | "heartbeats" | "tenants">;
  fleet: Fleet;
  heartbeatEveryInSeconds: number;
  clock: Clock;
  log: Log;
}

export interface Sweep {
  gateways: number;
  /** Entra tenants that could not be asked. */
  failed: number;
  suspicious: number;
  /** Changes of health that were told. */
  told: number;
}

const DIRECTORIES_AT_ONCE = 4;
const LOOKS_AT_ONCE = 8;
/** One or two reads each, of the 250 that ARM allows a principal at once: in an outage of a region the others have their turn later. */
const MOST_SECOND_LOOKS = 80;

/** A machine is silent after this many heartbeats that did not come. */
const MISSED_HEARTBEATS = 3;

export async function sweepFleet(world: SweepWorld, which: Which): Promise<Sweep> {
  const { gateways } = world.stores;
  const rows = await gateways.fleet();
  const all = rows.flatMap((row) => row.gateways);
  const partnerIds = [...new Set(rows.map(({ partnerId }) => partnerId))];
  const [reports, answers] = await Promise.all([reportsOf(world, partnerIds), askDirectories(world, all, which)]);
  const findings = new Map<string, Finding>();
  const suspicious: Suspicion[] = [];
  for (const gateway of all) {
    const answer = answers.get(gateway.entraTenantId);
    if (answer === undefined || "code" in answer) {
      findings.set(keyOf(gateway), { found: "missed", code: answer?.code ?? "NotAsked" });
      continue;
    }
    const heard = reports.get(`${gateway.partnerId} ${gateway.id}`) ?? wellHeard;
    const suspicion = { gateway, heard, seen: seenOf(gateway, answer) };
    const judgement = judgeAgain(suspicion);
    if (needsLook(judgement, gateway.state) || (heard.silent && answer.which === "everything")) suspicious.push(suspicion);
    else findings.set(keyOf(gateway), { found: "judged", judgement });
  }
  const looked = inTurn(suspicious, world.clock);
  await inLanes(looked, LOOKS_AT_ONCE, async (suspicion) => {
    const finding = await secondLook(world, suspicion);
    if (finding) findings.set(keyOf(suspicion.gateway), finding);
  });
  // Silence is known without Azure: whose turn it isn't yet, and who can't be looked at, is not called well meanwhile.
  for (const suspicion of suspicious)
    if (suspicion.heard.silent && !findings.has(keyOf(suspicion.gateway)))
      findings.set(keyOf(suspicion.gateway), { found: "judged", judgement: judgeAgain(suspicion) });

  const at = new Date(world.clock.now()).toISOString();
  const written = await gateways.recordStates(rows, (gateway) => {
    const finding = findings.get(keyOf(gateway));
    return finding && changeOf(gateway, finding, at, randomUUID);
  });
  const told = await tellOwed(world, written);
  const failed = [...answers.values()].filter((answer) => "code" in answer).length;
  return { gateways: all.length, failed, suspicious: suspicious.length, told };
}

const keyOf = ({ partnerId, virtualMachineId }: GatewayRecord): string => `${partnerId} ${virtualMachineId.toLowerCase()}`;

/** What was heard of who is silent or has something to say, by partner and gateway. */
async function reportsOf(
  { stores, clock, heartbeatEveryInSeconds }: SweepWorld,
  partnerIds: readonly string[],
): Promise<Map<string, Heard>> {
  const since = new Date(clock.now() - MISSED_HEARTBEATS * heartbeatEveryInSeconds * 1000).toISOString();
  const reports = await stores.heartbeats.exceptions(partnerIds, since);
  return new Map(
    reports.map(({ partnerId, gatewayId, heardAt, findings }) => [
      `${partnerId} ${gatewayId}`,
      { silent: heardAt < since, findings },
    ]),
  );
}

type Answer = { which: Which; seen: Map<string, SeenMachine> } | { code: string };

/**
 * By Entra tenant, since our principal is another one in each. One that fails leaves the others as they are, and is asked for everything
 * next time: what happened meanwhile is in no answer.
 */
async function askDirectories(
  { fleet, log }: SweepWorld,
  gateways: GatewayRecord[],
  wanted: Which,
): Promise<Map<string, Answer>> {
  const answers = new Map<string, Answer>();
  const directories = [...Map.groupBy(gateways, ({ entraTenantId }) => entraTenantId)];
  await inLanes(directories, DIRECTORIES_AT_ONCE, async ([entraTenantId, members]) => {
    try {
      const lost = members.some(({ misses, state }) => misses > 0 || (state.health === "unknown" && !isSilent(state)));
      const which = lost ? "everything" : wanted;
      const subscriptions = members.map(({ subscriptionId }) => subscriptionId);
      answers.set(entraTenantId, { which, seen: await fleet.list(entraTenantId, subscriptions, which) });
    } catch (error) {
      const code = error instanceof ControlPlaneError ? error.code : "QueryFailed";
      log.warning("the fleet of an Entra tenant could not be asked for", { entraTenantId, gateways: members.length, error });
      answers.set(entraTenantId, { code });
    }
  });
  return answers;
}

interface Suspicion {
  gateway: GatewayRecord;
  heard: Heard;
  seen: SeenMachine | undefined;
}

function seenOf({ virtualMachineId, state }: GatewayRecord, answer: Exclude<Answer, { code: string }>): SeenMachine | undefined {
  const seen = answer.seen.get(virtualMachineId.toLowerCase());
  if (seen !== undefined) return { ...seen, agent: state.agent };
  return answer.which === "exceptions" ? presumed(state) : undefined;
}

/** Who was found to be gone still is, as long as nobody sees it. */
const judgeAgain = ({ gateway, heard, seen }: Suspicion) =>
  seen === undefined && gateway.state.reason === missing.reason ? missing : judge(seen, heard);

/**
 * Resource Graph lags and forgets, so the machine itself is asked before anything is said of it. When it can't be asked either, a machine
 * that Resource Graph does not show is unknown, and of one that it does show nothing is said until the next sweep.
 */
async function secondLook({ fleet, log }: SweepWorld, { gateway, heard, seen }: Suspicion): Promise<Finding | undefined> {
  const { entraTenantId, virtualMachineId } = gateway;
  const look = await fleet.look(entraTenantId, virtualMachineId);
  if (look.state === "present") return { found: "judged", judgement: judge(look.actual, heard) };
  if (look.state === "absent") return { found: "judged", judgement: missing };
  log.warning("a suspicious gateway could not be looked at", { virtualMachineId, reason: look.reason });
  return seen === undefined ? { found: "judged", judgement: judge(undefined) } : undefined;
}

/** Events first, then the condition as it is by now, then the debt is crossed off. */
async function tellOwed(world: SweepWorld, rows: FleetRow[]): Promise<number> {
  const { gateways } = world.stores;
  let told = 0;
  const all = rows.flatMap((row) => row.gateways);
  for (const some of inTurns(rows.filter((row) => row.gateways.some(owes)))) {
    const owing = some.flatMap((row) => row.gateways.filter(owes));
    for (const gateway of owing) told += await tell(world, gateway, all);
    const paid = new Set(owing.flatMap(({ owed }) => owed.map(({ id }) => id)));
    await gateways.recordStates(some, ({ state, misses, owed }) =>
      owed.some(({ id }) => paid.has(id)) ? { state, misses, owed: owed.filter(({ id }) => !paid.has(id)) } : undefined,
    );
  }
  return told;
}

const owes = ({ owed }: GatewayRecord): boolean => owed.length > 0;

/** Who dies while it tells of many tells no more than these again. */
const MOST_TOLD_AT_ONCE = 200;

function inTurns(rows: FleetRow[]): FleetRow[][] {
  const turns: FleetRow[][] = [];
  let room = 0;
  for (const row of rows) {
    const count = row.gateways.filter(owes).length;
    if (count <= room) turns.at(-1)?.push(row);
    else turns.push([row]);
    room = (count <= room ? room : MOST_TOLD_AT_ONCE) - count;
  }
  return turns;
}

async function tell({ stores, log }: SweepWorld, gateway: GatewayRecord, all: GatewayRecord[]): Promise<number> {
  let told = 0;
  for (const event of gateway.owed) if (await stores.events.add(eventOf(gateway, event))) told += 1;
  const { partnerId, tenantId } = gateway;
  const condition = conditionOf(all.filter((one) => one.partnerId === partnerId && one.tenantId === tenantId));
  if (condition)
    await stores.tenants.setConditions(partnerId, tenantId, [condition]).catch((error: unknown) => {
      if (!(error instanceof ControlPlaneError) || error.code !== "TenantNotFound") throw error;
      log.warning("a gateway's tenant is gone", { partnerId, tenantId, gateway: gateway.id });
    });
  return told;
}

const eventOf = (
  { partnerId, tenantId, id: subject, fqdn, virtualMachineId }: GatewayRecord,
  { id, at, before, after }: GatewayRecord["owed"][number],
) => ({
  partnerId,
  tenantId,
  id,
  type: "gateway.health.changed",
  subject,
  at,
  data: { before, after, fqdn, virtualMachineId },
});

/** As many as are looked at in one sweep, beginning elsewhere each minute, so that machines that can't be looked at keep nobody waiting. */
function inTurn<Item>(suspicious: Item[], clock: Clock): Item[] {
  if (suspicious.length <= MOST_SECOND_LOOKS) return suspicious;
  const start = (Math.floor(clock.now() / 60_000) * MOST_SECOND_LOOKS) % suspicious.length;
  return [...suspicious.slice(start), ...suspicious.slice(0, start)].slice(0, MOST_SECOND_LOOKS);
}

/** Some at a time, all of them in the end. */
async function inLanes<Item>(items: readonly Item[], lanes: number, work: (item: Item) => Promise<void>): Promise<void> {
  const waiting = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of waiting) await work(item);
    }),
  );
}
