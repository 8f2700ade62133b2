/**
 * Table `plans`: partition = partner, row = `<tenant>_<hash>`: plans as they were shown, so that whoever insists on one later can be told what
 * has changed since. A plan is of use for two weeks; older ones of a tenant go when its next one is kept.
 */
import type { Clock } from "../clock.ts";
import type { Plan } from "../api/plan.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import { rowsBeginning } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type StoredRow, textOf, unpacked } from "./table.ts";

/** A plan with the spec that it was made for. */
export interface KeptPlan {
  plan: Plan;
  spec: TenantSpec;
}

export interface PlanStore {
  keep(partnerId: string, kept: KeptPlan): Promise<void>;
  /** Undefined where there never was one, or no longer is. */
  find(partnerId: string, tenantId: string, hash: string): Promise<KeptPlan | undefined>;
}

const KEPT_MILLISECONDS = 14 * 86_400_000;

export function createPlanStore(storage: Storage, clock: Clock): PlanStore {
  const table = createTable(storage, "plans");
  const keyOf = (partnerId: string, tenantId: string, hash: string) => ({
    partitionKey: partnerId,
    rowKey: `${tenantId}_${hash}`,
  });
  const expired = (row: StoredRow): boolean => Date.parse(textOf(row, "keptUntil")) <= clock.now();

  return {
    keep: async (partnerId, kept) => {
      const { tenantId, hash } = kept.plan;
      const rows = await table.all(rowsBeginning(partnerId, `${tenantId}_`));
      await Promise.all(rows.filter(expired).map((row) => table.remove(row, row.etag)));
      const keptUntil = new Date(clock.now() + KEPT_MILLISECONDS).toISOString();
      await table.transact([{ upsert: { ...keyOf(partnerId, tenantId, hash), ...packed("plan", kept), keptUntil } }]);
    },
    find: async (partnerId, tenantId, hash) => {
      const row = await table.get(keyOf(partnerId, tenantId, hash));
      return row && !expired(row) ? (unpacked(row, "plan") as KeptPlan) : undefined;
    },
  };
}
