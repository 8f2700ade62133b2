/**
 * Tables `events<yyyymm>`, by the month of the event: partition = partner, row = `e_<newest first>_<id>`; a month that nobody needs any
 * more is dropped whole. Table `eventmonths`: partition = partner, row = `m_<newest month first>`, so that a list knows which months to read.
 */
import type { Event } from "../api/event.ts";
import { all, type Filter, rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, newestFirst, type Page, packed, type StoredRow, type Table, textOf, unpacked } from "./table.ts";

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
  const months = createTable(storage, "eventmonths");
  const tables = new Map<string, Table>();
  const noted = new Set<string>();
  const tableOf = (month: string): Table => {
    const table = tables.get(month) ?? createTable(storage, `events${month}`);
    tables.set(month, table);
    return table;
  };

  async function note(partnerId: string, month: string): Promise<void> {
    const known = `${partnerId} ${month}`;
    if (noted.has(known)) return;
    await months.create({ partitionKey: partnerId, rowKey: `m_${newestMonthFirst(month)}`, month });
    noted.add(known);
  }

  return {
    add: async ({ partnerId, id, at, type, tenantId, subject, data }) => {
      const month = at.slice(0, 7).replace("-", "");
      // The month first: an event that nobody finds would be worse than a month without events.
      await note(partnerId, month);
      const rowKey = `e_${newestFirst(Date.parse(at))}_${id}`;
      const row = { partitionKey: partnerId, rowKey, type, tenantId, subject, at, ...packed("data", data) };
      return (await tableOf(month).create(row)).outcome === "done";
    },
    list: async (partnerId, { tenantId, type }, pageSize, after) => {
      const start = positionOf(after);
      const known = (await months.all(rowsBeginning(partnerId, "m_"))).map((row) => textOf(row, "month"));
      const rest = known.filter((month) => start === undefined || month <= start.month);
      const filters: Filter[] = [
        rowsBeginning(partnerId, "e_"),
        ...(tenantId === undefined ? [] : [where("tenantId", "eq", tenantId)]),
        ...(type === undefined ? [] : [where("type", "eq", type)]),
      ];
      const items: EventRecord[] = [];
      for (const [index, month] of rest.entries()) {
        const continuation = start?.month === month && start.after !== "" ? [start.after] : [];
        const read = await tableOf(month).page(all(...filters), pageSize - items.length, ...continuation);
        items.push(...read.items.map(recordOf));
        if (read.next !== undefined) return { items, next: `${month}.${read.next}` };
        const older = rest[index + 1];
        if (items.length >= pageSize) return older === undefined ? { items } : { items, next: `${older}.` };
      }
      return { items };
    },
  };
}

const newestMonthFirst = (month: string): string => String(999_999 - Number(month)).padStart(6, "0");

/** A month and, within it, Table Storage's own continuation; empty where the month begins. */
function positionOf(after: string | undefined): { month: string; after: string } | undefined {
  const [, month, rest = ""] = /^(\d{6})\.(.*)$/s.exec(after ?? "") ?? [];
  return month === undefined ? undefined : { month, after: rest };
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
