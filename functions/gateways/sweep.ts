/**
 * One look at the whole fleet: a set of pages for each Entra tenant, a second look at whatever is suspicious, and a write for each packed
 * row in which something changed. A change is written first, together with the event that is owed for it, and told afterwards: whoever
 * dies in between leaves the debt to the next sweep, and two sweeps at once tell it under the same id.
 */
import { randomUUID } from "node:crypto";
import type { Clock } from "../../shared/clock.ts";
import type { Fleet, SeenMachine } from "../../shared/azure/fleet.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Log } from "../../shared/log.ts";
import type { FleetRow, GatewayRecord } from "../../shared/stores/gateways.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import { changeOf, conditionOf, type Finding, judge, missing } from "./health.ts";

export interface SweepWorld {
  stores: Pick<Stores, "gateways" | "events" | "tenants">;
  fleet: Fleet;
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
/** Two or three reads each, of the 250 that ARM allows a principal at once: in an outage of a region the others have their turn later. */
const MOST_SECOND_LOOKS = 80;

export async function sweepFleet(world: SweepWorld): Promise<Sweep> {
  const { gateways } = world.stores;
  const rows = await gateways.fleet();
  const all = rows.flatMap((row) => row.gateways);
  const answers = await askDirectories(world, all);
  const findings = new Map<string, Finding>();
  const suspicious: GatewayRecord[] = [];
  for (const gateway of all) {
    const answer = answers.get(gateway.entraTenantId);
    if (answer === undefined || "code" in answer) {
      findings.set(keyOf(gateway), { found: "missed", code: answer?.code ?? "NotAsked" });
      continue;
    }
    const judgement = judge(answer.seen.get(gateway.virtualMachineId.toLowerCase()));
    if (judgement.health === "healthy" || judgement.health === gateway.state.health)
      findings.set(keyOf(gateway), { found: "judged", judgement });
    else suspicious.push(gateway);
  }
  await inLanes(inTurn(suspicious, world.clock), LOOKS_AT_ONCE, async (gateway) => {
    const answer = answers.get(gateway.entraTenantId);
    const seen = answer !== undefined && "seen" in answer ? answer.seen.get(gateway.virtualMachineId.toLowerCase()) : undefined;
    const finding = await secondLook(world, gateway, seen);
    if (finding) findings.set(keyOf(gateway), finding);
  });

  const at = new Date(world.clock.now()).toISOString();
  const written: FleetRow[] = [];
  for (const row of rows)
    written.push(
      await gateways.recordState(row, (gateway) => {
        const finding = findings.get(keyOf(gateway));
        return finding && changeOf(gateway, finding, at, randomUUID);
      }),
    );
  const told = await tellOwed(world, written);
  const failed = [...answers.values()].filter((answer) => "code" in answer).length;
  return { gateways: all.length, failed, suspicious: suspicious.length, told };
}

const keyOf = ({ partnerId, virtualMachineId }: GatewayRecord): string => `${partnerId} ${virtualMachineId.toLowerCase()}`;

type Answer = { seen: Map<string, SeenMachine> } | { code: string };

/** By Entra tenant, since our principal is another one in each. One that fails leaves the others as they are. */
async function askDirectories({ fleet, log }: SweepWorld, gateways: GatewayRecord[]): Promise<Map<string, Answer>> {
  const answers = new Map<string, Answer>();
  const directories = [...Map.groupBy(gateways, ({ entraTenantId }) => entraTenantId)];
  await inLanes(directories, DIRECTORIES_AT_ONCE, async ([entraTenantId, members]) => {
    try {
      const seen = await fleet.list(
        entraTenantId,
        members.map(({ subscriptionId }) => subscriptionId),
      );
      answers.set(entraTenantId, { seen });
    } catch (error) {
      const code = error instanceof ControlPlaneError ? error.code : "QueryFailed";
      log.warning("the fleet of an Entra tenant could not be asked for", { entraTenantId, gateways: members.length, error });
      answers.set(entraTenantId, { code });
    }
  });
  return answers;
}

/**
 * Resource Graph lags and forgets, so the machine itself is asked before anything is said of it. When it can't be asked either, a machine
 * that Resource Graph does not show is unknown, and of one that it does show nothing is said until the next sweep.
 */
async function secondLook(
  { fleet, log }: SweepWorld,
  { entraTenantId, virtualMachineId }: GatewayRecord,
  seen: SeenMachine | undefined,
): Promise<Finding | undefined> {
  const look = await fleet.look(entraTenantId, virtualMachineId);
  if (look.state === "present") return { found: "judged", judgement: judge(look.actual) };
  if (look.state === "absent") return { found: "judged", judgement: missing };
  log.warning("a suspicious gateway could not be looked at", { virtualMachineId, reason: look.reason });
  return seen === undefined ? { found: "judged", judgement: judge(undefined) } : undefined;
}

/** Events first, then the condition as it is by now, then the debt is crossed off. */
async function tellOwed({ stores, log }: SweepWorld, rows: FleetRow[]): Promise<number> {
  let told = 0;
  const all = rows.flatMap(({ gateways }) => gateways);
  for (const row of rows) {
    const owing = row.gateways.filter(({ owed }) => owed.length > 0);
    if (owing.length === 0) continue;
    for (const gateway of owing) {
      for (const event of gateway.owed) if (await stores.events.add(eventOf(gateway, event))) told += 1;
      const { partnerId, tenantId } = gateway;
      const condition = conditionOf(all.filter((one) => one.partnerId === partnerId && one.tenantId === tenantId));
      if (condition)
        await stores.tenants.setConditions(partnerId, tenantId, [condition]).catch((error: unknown) => {
          if (!(error instanceof ControlPlaneError) || error.code !== "TenantNotFound") throw error;
          log.warning("a gateway's tenant is gone", { partnerId, tenantId, gateway: gateway.id });
        });
    }
    const paid = new Set(owing.flatMap(({ owed }) => owed.map(({ id }) => id)));
    await stores.gateways.recordState(row, ({ state, misses, owed }) =>
      owed.some(({ id }) => paid.has(id)) ? { state, misses, owed: owed.filter(({ id }) => !paid.has(id)) } : undefined,
    );
  }
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
function inTurn(suspicious: GatewayRecord[], clock: Clock): GatewayRecord[] {
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
