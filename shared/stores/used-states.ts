/**
 * Tables `usedstates<yyyymm>`, by the month in which the state expires: partition and row = the state's id. Creating the row is using the
 * state, so it is used once; a table whose month is over can be dropped whole.
 */
import { randomUUID } from "node:crypto";
import type { Storage } from "./storage.ts";
import { createTable, type Table } from "./table.ts";

export interface UsedStateStore {
  /** True for the first who uses the state, false for everybody after. Ids: letters, digits, dashes. */
  use(stateId: string, expiresAt: Date): Promise<boolean>;
}

export function createUsedStateStore(storage: Storage): UsedStateStore {
  const tables = new Map<string, Table>();
  const tableOf = (expiresAt: Date): Table => {
    const name = `usedstates${expiresAt.toISOString().slice(0, 7).replace("-", "")}`;
    const table = tables.get(name) ?? createTable(storage, name);
    tables.set(name, table);
    return table;
  };
  return {
    use: async (stateId, expiresAt) => {
      const table = tableOf(expiresAt);
      const key = { partitionKey: stateId, rowKey: stateId };
      const use = randomUUID();
      const { outcome } = await table.create({ ...key, use, expiresAt });
      // The SDK repeats a create whose answer was lost; the stamp tells our own success from somebody else's.
      return outcome === "done" || (await table.get(key))?.use === use;
    },
  };
}
