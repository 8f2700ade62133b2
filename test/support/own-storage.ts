/** Tables of a test's own on the test run's Azurite, for stores that look at everything there is; and a count of what is asked of them. */
import { randomUUID } from "node:crypto";

import { createStorage, type Storage } from "../../shared/stores/storage.ts";
import { ownAccount } from "./own-account.ts";

export interface OwnStorage extends Storage {
  /** Calls of the SDK's methods by kind since the last look; a page that is read counts as one. */
  counts(): { reads: number; writes: number };
}

const noCredential = { getToken: () => Promise.reject(new Error("a connection string needs no credential")) };

export function ownStorage(): OwnStorage {
  const storage = createStorage({ connection: ownAccount() }, noCredential);
  const prefix = `t${randomUUID().slice(0, 8)}`;
  let reads = 0;
  let writes = 0;
  const reading = new Set(["getEntity", "listEntities"]);
  const writing = new Set(["createEntity", "updateEntity", "upsertEntity", "deleteEntity", "submitTransaction"]);
  return {
    container: (name) => storage.container(name),
    table: async (name) => {
      const client = await storage.table(`${prefix}${name}`);
      return new Proxy(client, {
        get: (target, property) => {
          if (reading.has(String(property))) reads += 1;
          if (writing.has(String(property))) writes += 1;
          const value: unknown = Reflect.get(target, property);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
    },
    counts: () => {
      const counted = { reads, writes };
      reads = 0;
      writes = 0;
      return counted;
    },
  };
}
