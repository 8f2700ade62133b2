/** Tables that answer at once, from memory, with ETags and transactions as Table Storage has them: for what is counted or played thousands of times. */
import type { TableEntity, TableEntityResult, TransactionAction } from "@azure/data-tables";
import type { Storage } from "../../shared/stores/storage.ts";

type Row = TableEntityResult<Record<string, unknown>>;

/** As much of a storage account as the stores ask of it: no blobs. */
export function memoryStorage(): Storage {
  const tables = new Map<string, ReturnType<typeof memoryTable>>();
  const table = (name: string): ReturnType<typeof memoryTable> => {
    const known = tables.get(name) ?? memoryTable();
    tables.set(name, known);
    return known;
  };
  return {
    table: async (name) => table(name) as unknown as Awaited<ReturnType<Storage["table"]>>,
    container: () => Promise.reject(new Error("there are no blobs here")),
  };
}

function memoryTable() {
  const rows = new Map<string, Row>();
  /** By filter, until something is written: to look through all rows is the storage's work. */
  const lists = new Map<string, Row[]>();
  let version = 0;
  const keyOf = ({ partitionKey, rowKey }: { partitionKey?: string; rowKey?: string }): string => `${partitionKey}\n${rowKey}`;
  const put = (entity: TableEntity): { etag: string } => {
    version += 1;
    const etag = `W/"datetime'${version}'"`;
    lists.clear();
    rows.set(keyOf(entity), { ...entity, etag });
    return { etag };
  };
  const list = (filter: string): Row[] => {
    const known = lists.get(filter);
    if (known) return known;
    const sorted = [...rows.values()].filter(conditionOf(filter)).toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    lists.set(filter, sorted);
    return sorted;
  };
  /** Throws what Table Storage would answer instead of doing it. */
  const check = (action: "create" | "update" | "delete", entity: TableEntity, etag = "*"): void => {
    const known = rows.get(keyOf(entity));
    if (action === "create" && known) throw refused(409);
    if (action !== "create" && !known) throw refused(404);
    if (action !== "create" && etag !== "*" && known?.etag !== etag) throw refused(412);
  };
  const remove = (entity: TableEntity): { etag: string } => {
    rows.delete(keyOf(entity));
    lists.clear();
    return { etag: "" };
  };

  return {
    createEntity: async (entity: TableEntity): Promise<{ etag: string }> => {
      check("create", entity);
      return put(entity);
    },
    getEntity: async (partitionKey: string, rowKey: string): Promise<Row> => {
      const row = rows.get(keyOf({ partitionKey, rowKey }));
      if (!row) throw refused(404);
      return { ...row };
    },
    updateEntity: async (entity: TableEntity, _mode: string, options?: { etag?: string }): Promise<{ etag: string }> => {
      check("update", entity, options?.etag);
      return put(entity);
    },
    deleteEntity: async (partitionKey: string, rowKey: string, options?: { etag?: string }): Promise<void> => {
      check("delete", { partitionKey, rowKey }, options?.etag);
      remove({ partitionKey, rowKey });
    },
    submitTransaction: async (actions: TransactionAction[]): Promise<{ subResponses: { etag: string }[] }> => {
      // All are looked at before any is done.
      for (const [action, entity, , options] of actions) if (action !== "upsert") check(action, entity, options?.etag);
      return {
        subResponses: actions.map(([action, entity]) => (action === "delete" ? remove(entity) : put(entity as TableEntity))),
      };
    },
    listEntities: ({ queryOptions }: { queryOptions: { filter: string } }) => ({
      byPage: async function* ({ maxPageSize, continuationToken = "0" }: { maxPageSize: number; continuationToken?: string }) {
        const start = Number(continuationToken);
        const all = list(queryOptions.filter);
        const page = all.slice(start, start + maxPageSize).map((row) => ({ ...row }));
        const next = start + maxPageSize < all.length ? { continuationToken: String(start + maxPageSize) } : {};
        yield Object.assign(page, next);
      },
    }),
  };
}

/** Of our own filters what stores ask with: comparisons of text and truth, in parentheses, joined by `and` and `or`. */
function conditionOf(filter: string): (row: Row) => boolean {
  const tokens = filter.match(/'(?:[^']|'')*'|[()]|[^\s()]+/g) ?? [];
  const some = (): ((row: Row) => boolean) => {
    let left = every();
    while (tokens[0] === "or") {
      tokens.shift();
      const [one, other] = [left, every()];
      left = (row) => one(row) || other(row);
    }
    return left;
  };
  const every = (): ((row: Row) => boolean) => {
    let left = comparison();
    while (tokens[0] === "and") {
      tokens.shift();
      const [one, other] = [left, comparison()];
      left = (row) => one(row) && other(row);
    }
    return left;
  };
  const comparison = (): ((row: Row) => boolean) => {
    const first = tokens.shift() ?? "";
    if (first === "(") {
      const inner = some();
      tokens.shift();
      return inner;
    }
    const [sign = "", literal = ""] = tokens.splice(0, 2);
    const name = first.replace(/^[PR](?=artitionKey|owKey)/, (letter) => letter.toLowerCase());
    const wanted = literal.startsWith("'") ? literal.slice(1, -1).replaceAll("''", "'") : literal;
    const holds = holding[sign];
    if (holds === undefined) throw new Error(`a filter has the sign ${sign}`);
    return (row) => {
      const value = row[name];
      return typeof value === "string" ? holds(value, wanted) : typeof value === "boolean" && holds(String(value), wanted);
    };
  };
  return some();
}

const holding: Record<string, (one: string, other: string) => boolean> = {
  eq: (one, other) => one === other,
  ne: (one, other) => one !== other,
  ge: (one, other) => one >= other,
  gt: (one, other) => one > other,
  le: (one, other) => one <= other,
  lt: (one, other) => one < other,
};

const refused = (statusCode: number): Error => Object.assign(new Error("refused"), { statusCode });
