/**
 * Table `quotas`: partition = subscription, row = bucket. How many of a cloud's tokens our instances may still take, as far as we know: one row a bucket,
 * from which each instance takes some at a time, so that all of them together stay below what the cloud allows.
 */
import type { Clock } from "../clock.ts";
import type { Storage } from "./storage.ts";
import { createTable, untilUncontested } from "./table.ts";

export interface Quota {
  subscription: string;
  bucket: string;
  /** Tokens in a full bucket. */
  size: number;
  perSecond: number;
}

export interface QuotaStore {
  /**
   * Takes up to `wanted` tokens and gives how many it got: 0 only when there are none. When others take some at the same moment it tries
   * again, and fails with `ChangedMeanwhile` after the fifth time.
   * @param left how many the cloud itself says are left, besides those that were taken here: others use the same bucket
   */
  take(quota: Quota, wanted: number, left?: number): Promise<number>;
}

export function createQuotaStore(storage: Storage, clock: Clock): QuotaStore {
  const table = createTable(storage, "quotas");
  return {
    take: async ({ subscription, bucket, size, perSecond }, wanted, left = size) => {
      const key = { partitionKey: subscription, rowKey: bucket };
      return untilUncontested(`the ${bucket} of ${subscription}`, async () => {
        const known = await table.get(key);
        const now = clock.now();
        const refilled = known ? Number(known["tokens"]) + (Math.max(0, now - Number(known["at"])) / 1000) * perSecond : size;
        const tokens = Math.min(size, left, refilled);
        const granted = Math.min(wanted, Math.floor(tokens));
        if (granted < 1) return 0;
        const row = { ...key, tokens: tokens - granted, at: now };
        // The SDK repeats a write whose answer was lost, and is then refused: those tokens are nobody's, and come back with time.
        const { outcome } = known ? await table.replace(row, known.etag) : await table.create(row);
        return outcome === "done" ? granted : undefined;
      });
    },
  };
}
