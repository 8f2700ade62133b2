/**
 * What grows for ever, in tables by month: `<name><yyyymm>` for the rows, so that a month that nobody needs any more is dropped whole, and
 * an index in which each partition (row = `m_<newest month first>`) has the months it wrote in.
 */
import { all, type Filter, rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, type Page, type StoredRow, type Table, textOf } from "./table.ts";

/**
 * What waits is nearly always new. But an event may be told late, under the time at which it was due, and nobody may have looked for months:
 * so whoever looks often at the newest has to look at all now and then.
 */
export type Look = "newest" | "all";

export interface MonthlyTables {
  /** `yyyymm` of an ISO time. */
  monthOf(at: string): string;
  of(month: string): Table;
  /** To be said before a month's first row: a row that nobody finds would be worse than a month without rows. */
  note(partitionKey: string, month: string): Promise<void>;
  /** The months that a partition wrote in, newest first. */
  monthsOf(partitionKey: string): Promise<string[]>;
  /** The same of all partitions that wrote in this month or later: a look at the whole index. */
  partitions(from: string): Promise<Map<string, string[]>>;
  /** Rows that wait for something, by their prefix: of the newest two months, or of all. */
  waiting(partitionKey: string, prefix: string, look: Look): Promise<StoredRow[]>;
  /** Over all months, newest first, as long as the row keys of a month are. */
  page(partitionKey: string, prefix: string, filters: Filter[], pageSize: number, after?: string): Promise<Page<StoredRow>>;
}

export function createMonthlyTables(storage: Storage, name: string, index: string): MonthlyTables {
  const months = createTable(storage, index);
  const tables = new Map<string, Table>();
  const noted = new Set<string>();
  const of = (month: string): Table => {
    const table = tables.get(month) ?? createTable(storage, `${name}${month}`);
    tables.set(month, table);
    return table;
  };
  const monthsOf = async (partitionKey: string): Promise<string[]> =>
    (await months.all(rowsBeginning(partitionKey, "m_"))).map((row) => textOf(row, "month"));

  return {
    monthOf: (at) => at.slice(0, 7).replace("-", ""),
    of,
    monthsOf,
    partitions: async (from) => {
      const found = new Map<string, string[]>();
      for (const row of await months.all(where("month", "ge", from)))
        found.set(row.partitionKey, [...(found.get(row.partitionKey) ?? []), textOf(row, "month")]);
      return found;
    },
    note: async (partitionKey, month) => {
      const known = `${partitionKey} ${month}`;
      if (noted.has(known)) return;
      await months.create({ partitionKey, rowKey: `m_${newestMonthFirst(month)}`, month });
      noted.add(known);
    },
    waiting: async (partitionKey, prefix, look) => {
      const known = await monthsOf(partitionKey);
      const looked = look === "all" ? known : known.slice(0, 2);
      return (await Promise.all(looked.map((month) => of(month).all(rowsBeginning(partitionKey, prefix))))).flat();
    },
    page: async (partitionKey, prefix, filters, pageSize, after) => {
      const start = positionOf(after);
      const rest = (await monthsOf(partitionKey)).filter((month) => start === undefined || month <= start.month);
      const items: StoredRow[] = [];
      for (const [at, month] of rest.entries()) {
        const continuation = start?.month === month && start.after !== "" ? [start.after] : [];
        const filter = all(rowsBeginning(partitionKey, prefix), ...filters);
        const read = await of(month).page(filter, pageSize - items.length, ...continuation);
        items.push(...read.items);
        if (read.next !== undefined) return { items, next: `${month}.${read.next}` };
        const older = rest[at + 1];
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
