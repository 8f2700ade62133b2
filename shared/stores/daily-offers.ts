/**
 * Table `dailyoffers`: partition `days`, row `d_<yyyy-mm-dd>` = who was offered on that day (UTC) to ask a blocklist for a removal, packed.
 * There are few a day, so the limits over a partner and over everybody are kept by one row and its ETag.
 */
import type { Storage } from "./storage.ts";
import { createTable, packed, unpacked, untilUncontested } from "./table.ts";

export interface DailyLimits {
  perPartner: number;
  overAll: number;
}

export interface DailyOfferStore {
  /** Whether that offer is among the day's; asking again gives the same. @param at milliseconds since 1970 */
  claim(offer: { id: string; partnerId: string }, at: number, limits: DailyLimits): Promise<boolean>;
}

export function createDailyOfferStore(storage: Storage): DailyOfferStore {
  const table = createTable(storage, "dailyoffers");
  return {
    claim: ({ id, partnerId }, at, { perPartner, overAll }) => {
      const day = new Date(at).toISOString().slice(0, 10);
      const key = { partitionKey: "days", rowKey: `d_${day}` };
      return untilUncontested(`the offers of ${day}`, async () => {
        const row = await table.get(key);
        const known = row === undefined ? {} : (unpacked(row, "partners") as Record<string, string>);
        if (Object.hasOwn(known, id)) return { granted: true };
        const partners = Object.values(known);
        if (partners.length >= overAll || partners.filter((one) => one === partnerId).length >= perPartner)
          return { granted: false };
        const next = { ...key, ...packed("partners", { ...known, [id]: partnerId }) };
        const { outcome } = row ? await table.replace(next, row.etag) : await table.create(next);
        return outcome === "done" ? { granted: true } : undefined;
      }).then(({ granted }) => granted);
    },
  };
}
