/**
 * Table `outages`: partition = partner, row = `t_<tenantId>`: what the policy that fails open has done for a tenant lately. Only tenants that it
 * acted for have a row, so that a look over all of them is one read.
 */
import { where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type StoredRow, unpacked, untilUncontested } from "./table.ts";

export interface Outage {
  partnerId: string;
  tenantId: string;
  /** When mail was led round by policy in the last day. */
  bypasses: string[];
  /** When it last tried something, by which operation, and why that was refused, if it was. */
  tried?: { to: "bypass" | "restore"; at: string; operationId: string; refused?: string } | undefined;
  /** Since when a person is asked, because it happened too often. */
  heldSince?: string | undefined;
}

export interface OutageStore {
  /** Everybody's; for timers. */
  all(): Promise<Outage[]>;
  /** Writes what `decide` makes of what is there; `undefined` forgets it. */
  change(partnerId: string, tenantId: string, decide: (known: Outage) => Outage | undefined): Promise<void>;
}

export function createOutageStore(storage: Storage): OutageStore {
  const table = createTable(storage, "outages");
  return {
    all: async () => (await table.all(where("RowKey", "ge", "t_"))).map(recordOf),
    change: (partnerId, tenantId, decide) =>
      untilUncontested(`outages of tenant ${tenantId}`, async () => {
        const key = { partitionKey: partnerId, rowKey: `t_${tenantId}` };
        const row = await table.get(key);
        const next = decide(row ? recordOf(row) : { partnerId, tenantId, bypasses: [] });
        if (next === undefined)
          return row === undefined || (await table.remove(key, row.etag)).outcome !== "changed" || undefined;
        const { partnerId: _partnerId, tenantId: _tenantId, ...about } = next;
        const written = { ...key, ...packed("about", about) };
        const { outcome } = row ? await table.replace(written, row.etag) : await table.create(written);
        return outcome === "done" || undefined;
      }).then(() => undefined),
  };
}

const recordOf = (row: StoredRow): Outage => ({
  partnerId: row.partitionKey,
  tenantId: row.rowKey.slice(2),
  ...(unpacked(row, "about") as Omit<Outage, "partnerId" | "tenantId">),
});
