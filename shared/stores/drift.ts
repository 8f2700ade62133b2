/**
 * Table `drift`: partition = partner. Row `t_<tenantId>` = the last comparison with its evidence, and what is owed of events. Rows
 * `w_<0 to f>`, by a hash of the tenant = since when each of its tenants stands still, packed, written only when that changes: a sweep
 * finds who is due without reading tenants. Partition `sweeps`, row `last` = when was last swept.
 */
import { createHash } from "node:crypto";
import type { Difference, Unread } from "../api/drift.ts";
import type { Finding } from "../api/plan.ts";
import type { EventRecord } from "./events.ts";
import { all, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type Row, type StoredRow, textOf, unpacked, untilUncontested } from "./table.ts";

export interface DriftRecord {
  partnerId: string;
  tenantId: string;
  lookedAt: string;
  /** When a comparison last had another outcome than the one before. */
  changedAt: string;
  differences: Difference[];
  unread: Unread[];
  findings: Finding[];
  /** When each property was brought back by policy in the last day: `<step> <path>` to times. */
  repairs: Record<string, string[]>;
  /** Written with what they tell, and told afterwards. */
  owed: EventRecord[];
}

export interface DriftStore {
  find(partnerId: string, tenantId: string): Promise<DriftRecord | undefined>;
  /** Writes what `decide` makes of what is there, `undefined` to leave it; gives what is there afterwards. */
  change(
    partnerId: string,
    tenantId: string,
    decide: (known: DriftRecord | undefined) => DriftRecord | undefined,
  ): Promise<DriftRecord | undefined>;
  remove(partnerId: string, tenantId: string): Promise<void>;
  /** Since when everybody's tenants stand still, by `<partnerId> <tenantId>`. */
  quietSince(): Promise<Map<string, string>>;
  /** Milliseconds since 1970; undefined before the first sweep. */
  lastSweptAt(): Promise<number | undefined>;
  recordSweep(at: number): Promise<void>;
}

export const driftKeyOf = (partnerId: string, tenantId: string): string => `${partnerId} ${tenantId}`;

const LAST_SWEEP = { partitionKey: "sweeps", rowKey: "last" };

export function createDriftStore(storage: Storage): DriftStore {
  const table = createTable(storage, "drift");
  const keyOf = (partnerId: string, tenantId: string) => ({ partitionKey: partnerId, rowKey: `t_${tenantId}` });

  /** `undefined`: it is watched no longer. */
  async function keepQuiet(partnerId: string, tenantId: string, changedAt: string | undefined): Promise<void> {
    const bucket = createHash("sha256").update(tenantId).digest("hex").slice(0, 1);
    const key = { partitionKey: partnerId, rowKey: `w_${bucket}` };
    await untilUncontested(`what is watched of ${partnerId}`, async () => {
      const row = await table.get(key);
      const known = row ? watchedIn(row) : {};
      if (known[tenantId] === changedAt) return true;
      const { [tenantId]: _, ...others } = known;
      const next: Row = { ...key, ...packed("tenants", changedAt === undefined ? others : { ...others, [tenantId]: changedAt }) };
      const { outcome } = row ? await table.replace(next, row.etag) : await table.create(next);
      return outcome === "done" || undefined;
    });
  }

  return {
    find: async (partnerId, tenantId) => {
      const row = await table.get(keyOf(partnerId, tenantId));
      return row && recordOf(row);
    },
    change: async (partnerId, tenantId, decide) => {
      const key = keyOf(partnerId, tenantId);
      const { kept } = await untilUncontested(`drift of tenant ${tenantId}`, async () => {
        const row = await table.get(key);
        const known = row && recordOf(row);
        const next = decide(known);
        if (next === undefined) return { kept: known };
        const { outcome } = row ? await table.replace(rowOf(next), row.etag) : await table.create(rowOf(next));
        return outcome === "done" ? { kept: next } : undefined;
      });
      // After the comparison, which is what counts: who dies in between looks oftener, or once less often, until the next change.
      if (kept) await keepQuiet(partnerId, tenantId, kept.changedAt);
      return kept;
    },
    remove: async (partnerId, tenantId) => {
      await keepQuiet(partnerId, tenantId, undefined);
      await table.remove(keyOf(partnerId, tenantId), "*");
    },
    quietSince: async () => {
      const rows = await table.all(all(where("RowKey", "ge", "w_"), where("RowKey", "lt", "w`")));
      return new Map(
        rows.flatMap((row) =>
          Object.entries(watchedIn(row)).map(([tenantId, at]): [string, string] => [driftKeyOf(row.partitionKey, tenantId), at]),
        ),
      );
    },
    lastSweptAt: async () => {
      const row = await table.get(LAST_SWEEP);
      return row && Date.parse(textOf(row, "at"));
    },
    recordSweep: async (at) => {
      await table.transact([{ upsert: { ...LAST_SWEEP, at: new Date(at).toISOString() } }]);
    },
  };
}

const watchedIn = (row: StoredRow): Record<string, string> => (unpacked(row, "tenants") ?? {}) as Record<string, string>;

const rowOf = ({ partnerId, tenantId, lookedAt, changedAt, differences, unread, findings, repairs, owed }: DriftRecord): Row => ({
  partitionKey: partnerId,
  rowKey: `t_${tenantId}`,
  lookedAt,
  changedAt,
  ...packed("differences", differences),
  ...packed("unread", unread),
  ...packed("findings", findings),
  ...packed("repairs", repairs),
  ...packed("owed", owed),
});

const recordOf = (row: StoredRow): DriftRecord => ({
  partnerId: row.partitionKey,
  tenantId: row.rowKey.slice(2),
  lookedAt: textOf(row, "lookedAt"),
  changedAt: textOf(row, "changedAt"),
  differences: (unpacked(row, "differences") ?? []) as Difference[],
  unread: (unpacked(row, "unread") ?? []) as Unread[],
  findings: (unpacked(row, "findings") ?? []) as Finding[],
  repairs: (unpacked(row, "repairs") ?? {}) as Record<string, string[]>,
  owed: (unpacked(row, "owed") ?? []) as EventRecord[],
});
