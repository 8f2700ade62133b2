/**
 * Table `mailbudget`: partition = day, rows `all`, `m_<hhmm>` a minute, `p_<partner>`, `a_<hash of an address>`: mails that were sent or begun.
 * Exchange Online lets a mailbox send to 10,000 recipients a day and 30 messages a minute ("Exchange Online limits"); ours are far below, so that
 * canary mails and requests to lists go out of the same mailbox at any time.
 */
import { createHash } from "node:crypto";
import type { Storage } from "./storage.ts";
import { type Action, createTable, untilUncontested } from "./table.ts";

export const MOST_MAILS_A_MINUTE = 15;
export const MOST_MAILS_A_DAY = 3000;
export const MOST_MAILS_A_PARTNER_A_DAY = 300;
/** Somebody who never asked for them gets no more of these. */
export const MOST_CODES_AN_ADDRESS_A_DAY = 3;

export interface MailToCount {
  partnerId: string;
  /** Of a mail that only asks for a confirmation: to whom. */
  asks?: string;
}

export interface MailBudget {
  /** Counts one mail, or says when there is room again, in milliseconds since 1970. */
  take(mail: MailToCount, now: number): Promise<{ until: number } | undefined>;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export function createMailBudget(storage: Storage): MailBudget {
  const table = createTable(storage, "mailbudget");
  return {
    take: ({ partnerId, asks }, now) => {
      const partitionKey = new Date(now).toISOString().slice(0, 10);
      const [tomorrow, nextMinute] = [(Math.floor(now / DAY) + 1) * DAY, (Math.floor(now / MINUTE) + 1) * MINUTE];
      const counters = [
        { rowKey: "all", most: MOST_MAILS_A_DAY, until: tomorrow },
        { rowKey: `p_${partnerId}`, most: MOST_MAILS_A_PARTNER_A_DAY, until: tomorrow },
        ...(asks === undefined ? [] : [{ rowKey: `a_${hashOf(asks)}`, most: MOST_CODES_AN_ADDRESS_A_DAY, until: tomorrow }]),
        { rowKey: `m_${new Date(now).toISOString().slice(11, 16)}`, most: MOST_MAILS_A_MINUTE, until: nextMinute },
      ];
      return untilUncontested("the count of mails", async () => {
        const rows = await Promise.all(counters.map(({ rowKey }) => table.get({ partitionKey, rowKey })));
        const spent = counters.find(({ most }, index) => Number(rows[index]?.["count"] ?? 0) >= most);
        if (spent) return { result: { until: spent.until } };
        const actions = counters.map(({ rowKey }, index): Action => {
          const row = rows[index];
          const next = { partitionKey, rowKey, count: Number(row?.["count"] ?? 0) + 1 };
          return row ? { replace: next, etag: row.etag } : { create: next };
        });
        return (await table.transact(actions)).outcome === "done" ? { result: undefined } : undefined;
      }).then(({ result }) => result);
    },
  };
}

const hashOf = (address: string): string => createHash("sha256").update(address.toLowerCase()).digest("hex").slice(0, 32);
