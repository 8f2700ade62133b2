/** Tables that answer at once, from memory: what is measured over them is our code and not the storage's. */
import type { TableEntity, TableEntityResult, TransactionAction } from "@azure/data-tables";
import type { Storage } from "../../shared/stores/storage.ts";

type Row = TableEntityResult<Record<string, unknown>>;

/** As much of a storage account as the stores behind the API ask of it: no blobs. */
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
  const keyOf = (partitionKey: string, rowKey: string): string => `${partitionKey}\n${rowKey}`;
  const put = (entity: TableEntity): { etag: string } => {
    version += 1;
    const etag = `W/"datetime'${version}'"`;
    lists.clear();
    rows.set(keyOf(entity.partitionKey, entity.rowKey), { ...entity, etag });
    return { etag };
  };
  const list = (filter: string): Row[] => {
    const known = lists.get(filter);
    if (known) return known;
    const found = [...rows.values()].filter(conditionOf(filter));
    const sorted = found.toSorted((a, b) => (String(a.rowKey) < String(b.rowKey) ? -1 : 1));
    lists.set(filter, sorted);
    return sorted;
  };
  const createEntity = async (entity: TableEntity): Promise<{ etag: string }> => {
    if (rows.has(keyOf(entity.partitionKey, entity.rowKey))) throw refused(409);
    return put(entity);
  };
  return {
    createEntity,
    getEntity: async (partitionKey: string, rowKey: string): Promise<Row> => {
      const row = rows.get(keyOf(partitionKey, rowKey));
      if (!row) throw refused(404);
      return { ...row };
    },
    updateEntity: async (entity: TableEntity): Promise<{ etag: string }> => put(entity),
    submitTransaction: async (actions: TransactionAction[]): Promise<{ subResponses: { etag: string }[] }> => {
      const subResponses: { etag: string }[] = [];
      for (const [action, entity] of actions) subResponses.push(action === "create" ? await createEntity(entity) : put(entity));
      return { subResponses };
    },
    listEntities: ({ queryOptions }: { queryOptions: { filter: string } }) => ({
      byPage: async function* ({ maxPageSize }: { maxPageSize: number }): AsyncGenerator<Row[]> {
        yield list(queryOptions.filter)
          .slice(0, maxPageSize)
          .map((row) => ({ ...row }));
      },
    }),
  };
}

/** Of our own filters only the keys: a partition, and from and to which row. */
function conditionOf(filter: string): (row: Row) => boolean {
  const part = (text: string): string | undefined => new RegExp(`${text} '([^']*)'`).exec(filter)?.[1];
  const [partition, from, to] = [part("PartitionKey eq"), part("RowKey ge"), part("RowKey lt")];
  return ({ partitionKey = "", rowKey = "" }) =>
    partitionKey === partition && (from === undefined || rowKey >= from) && (to === undefined || rowKey < to);
}

const refused = (statusCode: number): Error => Object.assign(new Error("refused"), { statusCode });
