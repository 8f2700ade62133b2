/**
 * Table `leases`: partition = row = SHA-256 of what is held. For effects of which a second one could not be told from the first, where a
 * cloud knows neither names nor conditions: whoever holds the lease may cause it. A holder that dies loses it when its time is over.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Storage } from "./storage.ts";
import { createTable } from "./table.ts";

export interface Lease {
  /** Nothing happens if it is over already, or storage doesn't answer: then it ends by itself. */
  release(): Promise<void>;
}

export interface LeaseStore {
  /** A lease for so many seconds, or how many seconds somebody else's may last. */
  acquire(what: string, seconds: number): Promise<Lease | { heldForSeconds: number }>;
}

export function createLeaseStore(storage: Storage, clock: Clock): LeaseStore {
  const table = createTable(storage, "leases");
  return {
    acquire: async (what, seconds) => {
      const key = createHash("sha256").update(what).digest("hex");
      const row = { partitionKey: key, rowKey: key, holder: randomUUID(), until: clock.now() + seconds * 1000 };
      const known = await table.get(row);
      const left = known ? Math.ceil((Number(known["until"]) - clock.now()) / 1000) : 0;
      if (left > 0) return { heldForSeconds: left };
      const { outcome } = known ? await table.replace(row, known.etag) : await table.create(row);
      const now = outcome === "done" ? undefined : await table.get(row);
      // The SDK repeats a write whose answer was lost; the holder tells our own success from somebody else's.
      if (outcome !== "done" && now?.["holder"] !== row.holder) return { heldForSeconds: seconds };
      return {
        release: async () => {
          const held = await table.get(row).catch(() => undefined);
          if (held?.["holder"] === row.holder) await table.remove(row, held.etag).catch(() => undefined);
        },
      };
    },
  };
}
