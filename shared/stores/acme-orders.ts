/**
 * Table `acmeorders`: partition = partner, row = `t_<tenantId>`: how far a tenant's certificate is at the ACME server, and how often it was
 * asked lately. What is about to be done is written before it is done, so that whoever comes after a crash finds it.
 */
import { where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type StoredRow, unpacked, untilUncontested } from "./table.ts";

export interface AcmeOrders {
  partnerId: string;
  tenantId: string;
  /** The one under way; without a URL it is being made, or its answer was `lost`. */
  order?: { directoryUrl: string; name: string; at: string; url?: string | undefined; lost?: true } | undefined;
  /** A TXT record of ours that stands, or may. */
  record?: { entraTenantId: string; zoneId: string; name: string; at: string } | undefined;
  /** Of the last week. */
  ended: { at: string; how: "issued" | "failed" }[];
  /** The server asked to be left alone until then. */
  notBefore?: string | undefined;
}

export interface AcmeOrderStore {
  /** Everybody's; for timers. */
  all(): Promise<AcmeOrders[]>;
  get(partnerId: string, tenantId: string): Promise<AcmeOrders>;
  /** Writes what `decide` makes of what is there, and gives what is there then; `undefined` leaves it. */
  change(
    partnerId: string,
    tenantId: string,
    decide: (known: AcmeOrders) => Partial<AcmeOrders> | undefined,
  ): Promise<AcmeOrders>;
}

export function createAcmeOrderStore(storage: Storage): AcmeOrderStore {
  const table = createTable(storage, "acmeorders");
  const keyOf = (partnerId: string, tenantId: string) => ({ partitionKey: partnerId, rowKey: `t_${tenantId}` });
  const none = (partnerId: string, tenantId: string): AcmeOrders => ({ partnerId, tenantId, ended: [] });
  return {
    all: async () => (await table.all(where("RowKey", "ge", "t_"))).map(recordOf),
    get: async (partnerId, tenantId) => {
      const row = await table.get(keyOf(partnerId, tenantId));
      return row ? recordOf(row) : none(partnerId, tenantId);
    },
    change: (partnerId, tenantId, decide) =>
      untilUncontested(`ACME orders of tenant ${tenantId}`, async () => {
        const key = keyOf(partnerId, tenantId);
        const row = await table.get(key);
        const known = row ? recordOf(row) : none(partnerId, tenantId);
        const changed = decide(known);
        if (changed === undefined) return known;
        const next = { ...known, ...changed };
        const { partnerId: _partnerId, tenantId: _tenantId, ...about } = next;
        const written = { ...key, ...packed("about", about) };
        const { outcome } = row ? await table.replace(written, row.etag) : await table.create(written);
        return outcome === "done" ? next : undefined;
      }),
  };
}

const recordOf = (row: StoredRow): AcmeOrders => ({
  partnerId: row.partitionKey,
  tenantId: row.rowKey.slice(2),
  ...(unpacked(row, "about") as Omit<AcmeOrders, "partnerId" | "tenantId">),
});
