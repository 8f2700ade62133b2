/** The timer's door: whoever is due is looked at, a few at a time, and what a tenant's policy wants brought back is. */
import type { DurableClient } from "durable-functions";
import { driftKeyOf } from "../../shared/stores/drift.ts";
import type { TimerCall } from "../../shared/triggers.ts";
import { lookForDrift } from "./look.ts";
import { repairByPolicy } from "./repair.ts";
import { due } from "./schedule.ts";
import type { DriftWorld } from "./world.ts";

interface Standing {
  partnerId: string;
  tenantId: string;
}

const AT_A_TIME = 4;
const PAGE_SIZE = 100;

/** A sweep that takes longer than the schedule's interval is not overtaken. */
export function sweepDrift(world: DriftWorld, client: DurableClient): (timer: TimerCall) => Promise<void> {
  let underway = false;
  return async () => {
    if (underway) return world.log.warning("the last sweep for drift goes on; this one is left out");
    underway = true;
    try {
      world.log.information("swept for drift", { ...(await sweep(world, client)) });
    } finally {
      underway = false;
    }
  };
}

async function sweep(
  world: DriftWorld,
  client: DurableClient,
): Promise<{ standing: number; due: number; looked: number; repairs: number }> {
  const { stores, clock, driftPace } = world;
  const now = clock.now();
  const [gateways, quiet, last] = await Promise.all([
    stores.gateways.all(),
    stores.drift.quietSince(),
    stores.drift.lastSweptAt(),
  ]);
  // Whoever has a gateway stands: these rows are packed, and nobody's spec is read to know it.
  const standing = new Map(gateways.map(({ partnerId, tenantId }) => [driftKeyOf(partnerId, tenantId), { partnerId, tenantId }]));
  for (const key of quiet.keys()) if (!standing.has(key)) await forget(world, key);
  const lately = await operatedLately(world, new Set(gateways.map(({ partnerId }) => partnerId)), now);
  const quietSince = (key: string): number | undefined => {
    const changed = quiet.get(key);
    return changed === undefined ? undefined : Math.max(Date.parse(changed), lately.get(key) ?? 0);
  };
  const turn = [...standing].filter(([key]) => due(key, quietSince(key), last, now, driftPace)).map(([, tenant]) => tenant);
  let looked = 0;
  let repairs = 0;
  const waiting = turn.values();
  await Promise.all(
    Array.from({ length: AT_A_TIME }, async () => {
      for (const tenant of waiting) {
        const outcome = await lookOne(world, client, tenant);
        if (outcome !== "left") looked += 1;
        if (outcome === "repaired") repairs += 1;
      }
    }),
  );
  await stores.drift.recordSweep(now);
  return { standing: standing.size, due: turn.length, looked, repairs };
}

/** One that can't be looked at must not end the sweep for all others. */
async function lookOne(world: DriftWorld, client: DurableClient, tenant: Standing): Promise<"left" | "looked" | "repaired"> {
  try {
    const looked = await lookForDrift(world, tenant);
    if (!looked) return "left";
    const record = await world.stores.tenants.find(tenant.partnerId, tenant.tenantId);
    const repaired = record?.spec.drift?.repair === "automatic" && (await repairByPolicy(world, client, looked.record));
    return repaired ? "repaired" : "looked";
  } catch (error) {
    world.log.warning("a tenant's drift could not be looked at", { ...tenant, error });
    return "left";
  }
}

/** When a tenant's newest operation began, as far back as it makes a difference. */
async function operatedLately(
  { stores, driftPace }: DriftWorld,
  partners: Set<string>,
  now: number,
): Promise<Map<string, number>> {
  const began = new Map<string, number>();
  const oldest = now - 2000 * driftPace.longestInSeconds;
  for (const partnerId of partners)
    for (let after: string | undefined; ; ) {
      const { items, next } = await stores.operations.list(partnerId, {}, PAGE_SIZE, after);
      for (const { tenantId, createdAt } of items) {
        const key = driftKeyOf(partnerId, tenantId);
        began.set(key, Math.max(began.get(key) ?? 0, Date.parse(createdAt)));
      }
      if (next === undefined || items.some(({ createdAt }) => Date.parse(createdAt) < oldest)) break;
      after = next;
    }
  return began;
}

async function forget({ stores }: DriftWorld, key: string): Promise<void> {
  const [partnerId = "", tenantId = ""] = key.split(" ");
  await stores.drift.remove(partnerId, tenantId);
}
