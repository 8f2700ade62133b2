/** Table `tenants`: partition = partner, row = `t_<tenantId>`, so a partner can only ever read its own. */
import type { Clock } from "../clock.ts";
import { refusal } from "../api/error-codes.ts";
import type { Condition, Stage } from "../api/tenant.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import { rowsBeginning } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, type Page, packed, type StoredRow, textOf, unpacked, untilUncontested, type Versioned } from "./table.ts";

export interface TenantRecord {
  partnerId: string;
  id: string;
  spec: TenantSpec;
  stage: Stage;
  conditions: Condition[];
  /** The operation that is under way or was the last one. */
  operationId?: string;
  /** Which attempt of it; the first one when it is left out. */
  operationAttempt?: number;
  /** What was derived or found out once and is not computed again (names, addresses, secret references); never shown, never a secret. */
  facts: Record<string, unknown>;
  createdAt: string;
  lastUpdatedAt: string;
}

/** What may change in a tenant; an `undefined` property stays as it is. */
export type TenantChange = Partial<
  Pick<TenantRecord, "spec" | "stage" | "conditions" | "operationId" | "operationAttempt" | "facts">
>;

export interface TenantStore {
  /** Throws TenantNotFound. */
  get(partnerId: string, tenantId: string): Promise<Versioned<TenantRecord>>;
  find(partnerId: string, tenantId: string): Promise<Versioned<TenantRecord> | undefined>;
  /** `undefined` when there is one already. */
  add(partnerId: string, tenantId: string, spec: TenantSpec): Promise<Versioned<TenantRecord> | undefined>;
  /**
   * Reads, decides, writes over what was read, and again if somebody wrote in between. `decide` gives what to change, `undefined` to leave
   * all as it is, or throws; it may be called several times. Throws TenantNotFound and ChangedMeanwhile.
   */
  change(
    partnerId: string,
    tenantId: string,
    decide: (tenant: Versioned<TenantRecord>) => TenantChange | undefined,
  ): Promise<Versioned<TenantRecord>>;
  /** Sets conditions by type; `since` moves only when a condition's status changes. */
  setConditions(partnerId: string, tenantId: string, conditions: Omit<Condition, "since">[]): Promise<Versioned<TenantRecord>>;
  /** False when it was changed since it was read. */
  delete(tenant: Versioned<TenantRecord>): Promise<boolean>;
  list(partnerId: string, pageSize: number, after?: string): Promise<Page<Versioned<TenantRecord>>>;
}

export function createTenantStore(storage: Storage, clock: Clock): TenantStore {
  const table = createTable(storage, "tenants");
  const now = () => new Date(clock.now()).toISOString();

  async function find(partnerId: string, tenantId: string): Promise<Versioned<TenantRecord> | undefined> {
    const row = await table.get(keyOf(partnerId, tenantId));
    return row && recordOf(row);
  }

  async function get(partnerId: string, tenantId: string): Promise<Versioned<TenantRecord>> {
    const found = await find(partnerId, tenantId);
    if (!found) throw refusal("TenantNotFound", `there is no tenant ${tenantId}`);
    return found;
  }

  const change: TenantStore["change"] = async (partnerId, tenantId, decide) =>
    untilUncontested(`tenant ${tenantId}`, async () => {
      const known = await get(partnerId, tenantId);
      const changed = decide(known);
      if (changed === undefined) return known;
      const { etag, ...record } = known;
      const next: TenantRecord = { ...record, ...given(changed), lastUpdatedAt: now() };
      const written = await table.replace(rowOf(next), etag);
      return written.outcome === "done" ? { ...next, etag: written.etag } : undefined;
    });

  return {
    find,
    get,
    change,
    add: async (partnerId, tenantId, spec) => {
      const at = now();
      const ready: Condition = {
        type: "Ready",
        status: "False",
        reason: "Registered",
        message: "the tenant is registered; onboarding has not begun",
        since: at,
      };
      const record: TenantRecord = {
        partnerId,
        id: tenantId,
        spec,
        stage: "registered",
        conditions: [ready],
        facts: {},
        createdAt: at,
        lastUpdatedAt: at,
      };
      const written = await table.create(rowOf(record));
      return written.outcome === "done" ? { ...record, etag: written.etag } : undefined;
    },
    setConditions: async (partnerId, tenantId, conditions) =>
      change(partnerId, tenantId, ({ conditions: known }) => {
        const at = now();
        const next = merged(known, conditions, at);
        return JSON.stringify(next) === JSON.stringify(known) ? undefined : { conditions: next };
      }),
    delete: async ({ partnerId, id, etag }) => {
      const { outcome } = await table.remove(keyOf(partnerId, id), etag);
      return outcome === "done" || outcome === "missing";
    },
    list: async (partnerId, pageSize, after) => {
      const { items, ...rest } = await table.page(rowsBeginning(partnerId, "t_"), pageSize, after);
      return { items: items.map(recordOf), ...rest };
    },
  };
}

const keyOf = (partnerId: string, tenantId: string) => ({ partitionKey: partnerId, rowKey: `t_${tenantId}` });

const given = (change: TenantChange): TenantChange =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));

function merged(known: Condition[], updates: Omit<Condition, "since">[], at: string): Condition[] {
  const byType = new Map(known.map((condition) => [condition.type, condition]));
  for (const { type, status, reason, message } of updates) {
    const before = byType.get(type);
    byType.set(type, { type, status, reason, message, since: before?.status === status ? before.since : at });
  }
  return [...byType.values()];
}

const rowOf = ({ partnerId, id, spec, conditions, facts, ...flat }: TenantRecord) => ({
  ...keyOf(partnerId, id),
  ...flat,
  ...packed("spec", spec),
  ...packed("conditions", conditions),
  ...packed("facts", facts),
});

const recordOf = (row: StoredRow): Versioned<TenantRecord> => ({
  partnerId: row.partitionKey,
  id: row.rowKey.slice(2),
  spec: unpacked(row, "spec") as TenantSpec,
  stage: textOf(row, "stage") as Stage,
  conditions: (unpacked(row, "conditions") ?? []) as Condition[],
  ...(row.operationId === undefined ? {} : { operationId: textOf(row, "operationId") }),
  ...(row.operationAttempt === undefined ? {} : { operationAttempt: Number(row.operationAttempt) }),
  facts: (unpacked(row, "facts") ?? {}) as Record<string, unknown>,
  createdAt: textOf(row, "createdAt"),
  lastUpdatedAt: textOf(row, "lastUpdatedAt"),
  etag: row.etag,
});
