/**
 * Tables `events<yyyymm>`, by the month of the event: partition = partner, row = `e_<newest first>_<id>`; a month that nobody needs any
 * more is dropped whole. Table `eventmonths`: partition = partner, row = `m_<newest month first>`, so that a list knows which months to read.
 */
import type { Event } from "../api/event.ts";
import { where } from "./filter.ts";
import { createMonthlyTables } from "./months.ts";
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
}

export function createEventStore(storage: Storage): EventStore {
  const months = createMonthlyTables(storage, "events", "eventmonths");
  return {
    add: async ({ partnerId, id, at, type, tenantId, subject, data }) => {
      const month = months.monthOf(at);
      await months.note(partnerId, month);
      const rowKey = `e_${newestFirst(Date.parse(at))}_${id}`;
      const row = { partitionKey: partnerId, rowKey, type, tenantId, subject, at, ...packed("data", data) };
      return (await months.of(month).create(row)).outcome === "done";
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

const recordOf = (row: StoredRow): EventRecord => ({
  partnerId: row.partitionKey,
  id: row.rowKey.split("_").slice(2).join("_"),
  type: textOf(row, "type"),
  tenantId: textOf(row, "tenantId"),
  subject: textOf(row, "subject"),
  at: textOf(row, "at"),
  data: (unpacked(row, "data") ?? {}) as Record<string, unknown>,
});
