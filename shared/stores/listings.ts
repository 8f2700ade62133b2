/**
 * Table `listings`: partition = partner, row = `l_<address>`, only for addresses that a blocklist has, is suspected to have or had lately: so
 * the timer reads few rows, and a partner's list is its partition. Table `blocklists`: partition `lists`, row `z_<list>` (its health), `poll`
 * (when was last asked).
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
  /** When the answer came that was written last, and how long it may be repeated. Older rows have neither. */
  at?: string;
  ttlInSeconds?: number;
  /** When it was listed again within a day after it had been cleared, in the last day. */
  relistings?: string[];
  /** It comes and goes, which is told once a day. */
  flapping?: { toldAt: string };
  /** While it clears: clean answers so far, the first and the last of those that count. */
  clean?: { answers: number; first: string; last: string };
}

/** What is remembered of a listing that has ended. */
export interface Past {
  clearedAt: string;
  relistings?: string[];
}

export interface ListingRecord {
  partnerId: string;
  tenantId: string;
  address: string;
  /** By the list's id. */
  sightings: Record<string, Sighting>;
  past: Record<string, Past>;
}

export type ListingState = Pick<ListingRecord, "sightings" | "past">;

export interface ListHealth {
  list: string;
  health: Health;
  since: string;
  /** While it can't be believed. */
  blind?: {
    /** Through all kinds of failure. */
    since: string;
    /** In a row. */
    failures: number;
    /** Left alone until then. */
    askAgainAt?: string;
    /** What it says is not believed before. */
    heldUntil?: string;
    /** That it has been blind for long was said. */
    told?: true;
  };
}

export interface ListingStore {
  /** Everybody's; for the timer. */
  all(): Promise<ListingRecord[]>;
  listOf(partnerId: string, pageSize: number, after?: string): Promise<Page<ListingRecord>>;
  of(partnerId: string): Promise<ListingRecord[]>;
  /** Writes what `decide` makes of what is there, and nothing if it is the same; an address without sightings and past has no row. */
  change(
    address: Pick<ListingRecord, "partnerId" | "tenantId" | "address">,
    decide: (known: ListingState) => ListingState,
  ): Promise<void>;
  healths(): Promise<ListHealth[]>;
  /** Writes nothing if it is the same. */
  changeHealth(list: string, decide: (known: ListHealth | undefined) => Omit<ListHealth, "list">): Promise<void>;
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
        const before = { sightings: known?.sightings ?? {}, past: known?.past ?? {} };
        const { sightings, past } = decide(before);
        if (JSON.stringify({ sightings, past }) === JSON.stringify(before)) return true;
        const remembers = Object.keys(past).length > 0;
        const next = { ...key, tenantId, ...packed("sightings", sightings), ...(remembers ? packed("past", past) : {}) };
        const { outcome } =
          Object.keys(sightings).length > 0 || remembers
            ? known
              ? await table.replace(next, known.etag)
              : await table.create(next)
            : await table.remove(key, known?.etag ?? "*");
        return outcome === "done" || undefined;
      });
    },
    healths: async () => (await lists.all(rowsBeginning(LISTS, "z_"))).map(healthOf),
    changeHealth: async (list, decide) => {
      const key = { partitionKey: LISTS, rowKey: `z_${list}` };
      await untilUncontested(`the health of ${list}`, async () => {
        const row = await lists.get(key);
        const known = row && healthOf(row);
        const { health, since, blind } = decide(known);
        if (known && JSON.stringify([health, since, blind]) === JSON.stringify([known.health, known.since, known.blind]))
          return true;
        const next = { ...key, health, since, ...packed("blind", blind) };
        const { outcome } = row ? await lists.replace(next, row.etag) : await lists.create(next);
        return outcome === "done" || undefined;
      });
    },
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
  past: (unpacked(row, "past") ?? {}) as Record<string, Past>,
  etag: row.etag,
});

function healthOf(row: StoredRow): ListHealth {
  const blind = unpacked(row, "blind") as ListHealth["blind"];
  return {
    list: row.rowKey.slice(2),
    health: textOf(row, "health") as Health,
    since: textOf(row, "since"),
    ...(blind ? { blind } : {}),
  };
}
