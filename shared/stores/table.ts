/** One table as the stores use it: point reads, guarded writes, transactions and pages. Expected refusals (404, 409, 412) are values. */
import { setTimeout as pause } from "node:timers/promises";
import type { TableEntity, TransactionAction } from "@azure/data-tables";
import { refusal } from "../api/error-codes.ts";
import type { Filter } from "./filter.ts";
import type { Storage } from "./storage.ts";

/** Something as it was read, with the ETag that a write over it has to name. */
export type Versioned<T> = T & { readonly etag: string };

export interface Page<Item> {
  items: Item[];
  /** Where the next page begins; absent on the last one. */
  next?: string;
}

export interface Key {
  partitionKey: string;
  rowKey: string;
}

/** A row: its keys and flat properties. What is deeper goes through `packed`. */
export type Row = Key & Record<string, string | number | boolean | Date | undefined>;
export type StoredRow = Key & { etag: string } & Record<string, unknown>;

/** `etags` are those of a transaction's actions; `refused` names the action of a transaction that failed, counted from 0. */
export type WriteOutcome =
  | { outcome: "done"; etag: string; etags: string[] }
  | { outcome: "exists" | "missing" | "changed"; refused: number };

export type Action = { create: Row } | { replace: Row; etag: string } | { upsert: Row } | { remove: Key };

export interface Table {
  get(key: Key): Promise<StoredRow | undefined>;
  create(row: Row): Promise<WriteOutcome>;
  replace(row: Row, etag: string): Promise<WriteOutcome>;
  remove(key: Key, etag: string): Promise<WriteOutcome>;
  /** All or nothing, in one partition, at most 100 actions. */
  transact(actions: Action[]): Promise<WriteOutcome>;
  /** Up to `pageSize` rows; pages that Table Storage leaves empty or short are filled up. */
  page(filter: Filter, pageSize: number, after?: string): Promise<Page<StoredRow>>;
  /** @param columns only these besides the keys, which are not among them */
  all(filter: Filter, columns?: string[]): Promise<StoredRow[]>;
}

export function createTable(storage: Storage, name: string): Table {
  const client = () => storage.table(name);

  async function page(filter: Filter, pageSize: number, after?: string, columns?: string[]): Promise<Page<StoredRow>> {
    const select = columns && { select: ["PartitionKey", "RowKey", ...columns] };
    const items: StoredRow[] = [];
    let next = after;
    do {
      const pages = (await client()).listEntities({ queryOptions: { filter: filter.odata, ...select } }).byPage({
        maxPageSize: Math.min(pageSize - items.length, 1000),
        ...(next === undefined ? {} : { continuationToken: next }),
      });
      const { value } = await pages.next();
      const read = value as (StoredRow[] & { continuationToken?: string }) | undefined;
      items.push(...(read ?? []));
      next = read?.continuationToken;
    } while (next !== undefined && items.length < pageSize);
    return next === undefined ? { items } : { items, next };
  }

  return {
    get: async ({ partitionKey, rowKey }) => {
      try {
        return (await (await client()).getEntity(partitionKey, rowKey)) as StoredRow;
      } catch (error) {
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    },
    create: async (row) => written(async () => [(await (await client()).createEntity(checked(row))).etag]),
    replace: async (row, etag) =>
      written(async () => [(await (await client()).updateEntity(checked(row), "Replace", { etag })).etag]),
    remove: async ({ partitionKey, rowKey }, etag) =>
      written(async () => {
        await (await client()).deleteEntity(partitionKey, rowKey, { etag });
        return [];
      }),
    transact: async (actions) =>
      written(async () => {
        const { subResponses } = await (await client()).submitTransaction(actions.map(transactionAction));
        return subResponses.map(({ etag }) => etag);
      }),
    page: (filter, pageSize, after) => page(filter, pageSize, after),
    all: async (filter, columns) => {
      const rows: StoredRow[] = [];
      let after: string | undefined;
      do {
        const { items, next } = await page(filter, 1000, after, columns);
        rows.push(...items);
        after = next;
      } while (after !== undefined);
      return rows;
    },
  };
}

const TRIES = 5;

/**
 * Read, decide, write over what was read; when somebody else wrote in between, again, up to five times. `attempt` gives the outcome of
 * one round, or `undefined` to go another round.
 */
export async function untilUncontested<Result>(what: string, attempt: () => Promise<Result | undefined>): Promise<Result> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (tries > 0) await pause(Math.random() * 20 * 2 ** tries); // jitter, so that rivals don't meet again
    const result = await attempt();
    if (result !== undefined) return result;
  }
  throw refusal("ChangedMeanwhile", `${what} was changed by others at the same time`);
}

// A property holds 64 KiB of UTF-16 (Table service data model); what is longer goes on in `<name>_1`, `<name>_2`, …
const CHUNK = 32_000;

/** JSON as properties of a row. */
export function packed(name: string, value: unknown): Record<string, string> {
  if (value === undefined) return {};
  // Escaped to ASCII, so that no chunk ends within a surrogate pair.
  const text = JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  const chunks = text.match(new RegExp(`.{1,${CHUNK}}`, "gs")) ?? [];
  return Object.fromEntries(chunks.map((chunk, index) => [index === 0 ? name : `${name}_${index}`, chunk]));
}

/** What `packed` wrote; `undefined` when there is none. */
export function unpacked(row: StoredRow, name: string): unknown {
  if (row[name] === undefined) return undefined;
  let json = textOf(row, name);
  for (let index = 1; row[`${name}_${index}`] !== undefined; index += 1) json += textOf(row, `${name}_${index}`);
  return JSON.parse(json);
}

/** A property that has to be text; anything else means that somebody else wrote the row. */
export function textOf(row: StoredRow, name: string): string {
  const value = row[name];
  if (typeof value !== "string") throw new TypeError(`property ${name} of a stored row is not text`);
  return value;
}

/** A time in a row key such that later ones sort first. */
export const newestFirst = (milliseconds: number): string => String(8_640_000_000_000_000 - milliseconds).padStart(16, "0");

const LARGEST_ENTITY_IN_BYTES = 1024 * 1024;
const MOST_PROPERTIES = 252;

/** Azurite accepts entities that Azure refuses, so their limits are checked here. Sizes: "Understanding the Table service data model". */
function checked(row: Row): TableEntity {
  for (const key of [row.partitionKey, row.rowKey]) {
    if (/[/\\#?\p{Control}]/u.test(key)) {
      throw new TypeError("a key has a character that Table Storage forbids");
    }
  }
  const properties = Object.entries(row).filter(
    ([name, value]) => value !== undefined && name !== "partitionKey" && name !== "rowKey",
  );
  const size = properties.reduce(
    (sum, [name, value]) => sum + 8 + 2 * name.length + (typeof value === "string" ? 4 + 2 * value.length : 8),
    4,
  );
  if (size + 2 * (row.partitionKey.length + row.rowKey.length) > LARGEST_ENTITY_IN_BYTES || properties.length > MOST_PROPERTIES) {
    throw refusal("RecordTooLarge", "what is to be stored is larger than a record may be");
  }
  return { partitionKey: row.partitionKey, rowKey: row.rowKey, ...Object.fromEntries(properties) };
}

function transactionAction(action: Action): TransactionAction {
  if ("create" in action) return ["create", checked(action.create)];
  if ("replace" in action) return ["update", checked(action.replace), "Replace", { etag: action.etag }];
  if ("upsert" in action) return ["upsert", checked(action.upsert), "Replace"];
  return ["delete", action.remove as TableEntity];
}

async function written(write: () => Promise<(string | undefined)[]>): Promise<WriteOutcome> {
  try {
    const etags = (await write()).map((etag) => etag ?? "");
    return { outcome: "done", etag: etags[0] ?? "", etags };
  } catch (error) {
    const outcome = expected[statusOf(error) ?? 0];
    if (outcome === undefined) throw error;
    return { outcome, refused: refusedAction(error) };
  }
}

const expected: Record<number, "missing" | "exists" | "changed"> = { 404: "missing", 409: "exists", 412: "changed" };

const statusOf = (error: unknown): number | undefined =>
  error instanceof Error && "statusCode" in error && typeof error.statusCode === "number" ? error.statusCode : undefined;

/** A transaction's error message begins with the number of the action that failed: `1:The specified entity already exists.` */
const refusedAction = (error: unknown): number =>
  Number(/^\s*(\d+):/.exec(error instanceof Error ? error.message : "")?.[1] ?? 0);
