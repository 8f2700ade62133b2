/**
 * Tables `events<yyyymm>`, by the month of the event: partition = partner, row = `e_<newest first>_<id>`; a month that nobody needs any
 * more is dropped whole. Row `o_<newest first>_<id>` is written with an event in one transaction where the partner wants to be told, and
 * stands until it was. Table `eventmonths`: partition = partner, row = `m_<newest month first>`, so that a list knows which months to read.
 */
import type { Event } from "../api/event.ts";
import { where } from "./filter.ts";
import { createMonthlyTables, type Look } from "./months.ts";
import type { Storage } from "./storage.ts";
import { newestFirst, type Page, packed, type StoredRow, textOf, unpacked } from "./table.ts";

/** What changed, said once. `data` is plain JSON without secrets. */
export type EventRecord = Event & { partnerId: string };

export interface EventFilter {
  tenantId?: string | undefined;
  type?: string | undefined;
}

export interface EventStore {
  /** Idempotent by id and time: true for the first, false for those who say it again. Ids: letters, digits, dashes. */
  add(event: EventRecord): Promise<boolean>;
  /** Newest first. */
  list(partnerId: string, filter: EventFilter, pageSize: number, after?: string): Promise<Page<EventRecord>>;
  /** Of which the partner has not been told yet; undefined when it has, or need not be. */
  findUntold(event: EventName): Promise<EventRecord | undefined>;
  /** All of these. */
  untold(partnerId: string, look?: Look): Promise<EventRecord[]>;
  markTold(event: EventName): Promise<void>;
}

/** By which an event is found. */
export type EventName = Pick<EventRecord, "partnerId" | "id" | "at">;

export interface Audience {
  /** Whether anybody there wants to be told. */
  listens(partnerId: string): Promise<boolean>;
  /** Says that an event waits to be told. What is not said is found later: it must neither fail nor wait long. */
  announce(event: EventName): Promise<void>;
}

const nobody: Audience = { listens: () => Promise.resolve(false), announce: () => Promise.resolve() };

export function createEventStore(storage: Storage, audience: Audience = nobody): EventStore {
  const months = createMonthlyTables(storage, "events", "eventmonths");
  const keyOf = (prefix: "e" | "o", { partnerId, id, at }: EventName) => ({
    partitionKey: partnerId,
    rowKey: `${prefix}_${newestFirst(Date.parse(at))}_${id}`,
  });
  const findUntold: EventStore["findUntold"] = async (event) => {
    const table = months.of(months.monthOf(event.at));
    const row = (await table.get(keyOf("o", event))) && (await table.get(keyOf("e", event)));
    return row && recordOf(row);
  };

  return {
    findUntold,
    add: async ({ partnerId, id, at, type, tenantId, subject, data }) => {
      const month = months.monthOf(at);
      await months.note(partnerId, month);
      const name = { partnerId, id, at };
      const row = { ...keyOf("e", name), type, tenantId, subject, at, ...packed("data", data) };
      if (!(await audience.listens(partnerId))) return (await months.of(month).create(row)).outcome === "done";
      const written = await months.of(month).transact([{ create: row }, { create: { ...keyOf("o", name), at } }]);
      if (written.outcome === "done") await audience.announce(name);
      return written.outcome === "done";
    },
    untold: async (partnerId, look = "all") => {
      const rows = await months.waiting(partnerId, "o_", look);
      const names = rows.map((row) => ({ partnerId, id: idIn(row), at: textOf(row, "at") }));
      return (await Promise.all(names.map(findUntold))).filter((event) => event !== undefined);
    },
    markTold: async (event) => {
      const table = months.of(months.monthOf(event.at));
      const row = await table.get(keyOf("o", event));
      if (row) await table.remove(row, row.etag);
    },
    list: async (partnerId, { tenantId, type }, pageSize, after) => {
      const filters = [
        ...(tenantId === undefined ? [] : [where("tenantId", "eq", tenantId)]),
        ...(type === undefined ? [] : [where("type", "eq", type)]),
      ];
      const { items, ...rest } = await months.page(partnerId, "e_", filters, pageSize, after);
      return { items: items.map(recordOf), ...rest };
    },
  };
}

const idIn = (row: StoredRow): string => row.rowKey.split("_").slice(2).join("_");

const recordOf = (row: StoredRow): EventRecord => ({
  partnerId: row.partitionKey,
  id: idIn(row),
  type: textOf(row, "type"),
  tenantId: textOf(row, "tenantId"),
  subject: textOf(row, "subject"),
  at: textOf(row, "at"),
  data: (unpacked(row, "data") ?? {}) as Record<string, unknown>,
});
