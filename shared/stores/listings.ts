/**
 * Table `listings`: partition = partner, row = `l_<address>`, only for addresses that a blocklist has or is suspected to have: so the timer
 * reads few rows, and a partner's list is its partition. Table `blocklists`: partition `lists`, row `z_<list>` (its health), `poll` (when
 * was last asked).
 */
import type { Health, SightingState } from "../api/listing.ts";
import { rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, type Page, packed, type StoredRow, textOf, unpacked, untilUncontested, type Versioned } from "./table.ts";

/** What is known of one address on one list. Where there is none, the address is clean. */
export interface Sighting {
  state: SightingState;
  codes: string[];
  /** First seen. */
  since: string;
  /** While it clears: clean answers so far, the first and the last of those that count. */
  clean?: { answers: number; first: string; last: string };
}

export interface ListingRecord {
  partnerId: string;
  tenantId: string;
  address: string;
  /** By the list's id. */
  sightings: Record<string, Sighting>;
}

export interface ListHealth {
  list: string;
  health: Health;
  since: string;
}

export interface ListingStore {
  /** Everybody's; for the timer. */
  all(): Promise<ListingRecord[]>;
  listOf(partnerId: string, pageSize: number, after?: string): Promise<Page<ListingRecord>>;
  of(partnerId: string): Promise<ListingRecord[]>;
  /** Writes what `decide` makes of what is there, and nothing if it is the same; an address without sightings has no row. */
  change(
    address: Pick<ListingRecord, "partnerId" | "tenantId" | "address">,
    decide: (sightings: Record<string, Sighting>) => Record<string, Sighting>,
  ): Promise<void>;
  healths(): Promise<ListHealth[]>;
  /** True when it changed. */
  recordHealth(list: string, health: Health, at: string): Promise<boolean>;
  /** Milliseconds since 1970; undefined before the first time. */
  lastPolledAt(): Promise<number | undefined>;
  recordPoll(at: number): Promise<void>;
}

const LISTS = "lists";
const POLL = { partitionKey: LISTS, rowKey: "poll" };

export function createListingStore(storage: Storage): ListingStore {
  const table = createTable(storage, "listings");
  const lists = createTable(storage, "blocklists");

  return {
    all: async () => (await table.all(where("RowKey", "ge", "l_"))).map(recordOf),
    of: async (partnerId) => (await table.all(rowsBeginning(partnerId, "l_"))).map(recordOf),
    listOf: async (partnerId, pageSize, after) => {
      const { items, ...rest } = await table.page(rowsBeginning(partnerId, "l_"), pageSize, after);
      return { items: items.map(recordOf), ...rest };
    },
    change: async ({ partnerId, tenantId, address }, decide) => {
      const key = { partitionKey: partnerId, rowKey: `l_${address}` };
      await untilUncontested(`the listings of ${address}`, async () => {
        const row = await table.get(key);
        const known = row ? recordOf(row) : undefined;
        const sightings = decide(known?.sightings ?? {});
        if (JSON.stringify(sightings) === JSON.stringify(known?.sightings ?? {})) return true;
        const next = { ...key, tenantId, ...packed("sightings", sightings) };
        const { outcome } =
          Object.keys(sightings).length > 0
            ? known
              ? await table.replace(next, known.etag)
              : await table.create(next)
            : await table.remove(key, known?.etag ?? "*");
        return outcome === "done" || undefined;
      });
    },
    healths: async () =>
      (await lists.all(rowsBeginning(LISTS, "z_"))).map((row) => ({
        list: row.rowKey.slice(2),
        health: textOf(row, "health") as Health,
        since: textOf(row, "since"),
      })),
    recordHealth: async (list, health, since) =>
      untilUncontested(`the health of ${list}`, async () => {
        const key = { partitionKey: LISTS, rowKey: `z_${list}` };
        const row = await lists.get(key);
        if (row && textOf(row, "health") === health) return { changed: false };
        const next = { ...key, health, since };
        const { outcome } = row ? await lists.replace(next, row.etag) : await lists.create(next);
        return outcome === "done" ? { changed: true } : undefined;
      }).then(({ changed }) => changed),
    lastPolledAt: async () => {
      const row = await lists.get(POLL);
      return row && Date.parse(textOf(row, "at"));
    },
    recordPoll: async (at) => {
      await lists.transact([{ upsert: { ...POLL, at: new Date(at).toISOString() } }]);
    },
  };
}

const recordOf = (row: StoredRow): Versioned<ListingRecord> => ({
  partnerId: row.partitionKey,
  tenantId: textOf(row, "tenantId"),
  address: row.rowKey.slice(2),
  sightings: (unpacked(row, "sightings") ?? {}) as Record<string, Sighting>,
  etag: row.etag,
});
