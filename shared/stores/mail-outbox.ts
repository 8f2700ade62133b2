/** Table `mailoutbox`: partition = `<partner>_<recipient>`, row `q_<time of the event>_<eventId>`: what a recipient was not mailed yet. */
import type { Notice } from "../webhooks/message.ts";
import { rowsBeginning } from "./filter.ts";
import type { RecipientKey } from "./mail-recipients.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type StoredRow, unpacked } from "./table.ts";

export interface Waiting {
  notice: Notice;
  rowKey: string;
}

export interface MailOutbox {
  /** The same notice is there once. */
  add(key: RecipientKey, notice: Notice): Promise<void>;
  /** Oldest first. */
  list(key: RecipientKey): Promise<Waiting[]>;
  remove(key: RecipientKey, waiting: Pick<Waiting, "rowKey">[]): Promise<void>;
}

const MOST_A_TRANSACTION = 100;

export function createMailOutbox(storage: Storage): MailOutbox {
  const table = createTable(storage, "mailoutbox");
  return {
    add: async (key, notice) => {
      const rowKey = `q_${String(Date.parse(notice.at)).padStart(15, "0")}_${notice.id}`;
      await table.create({ partitionKey: partitionOf(key), rowKey, ...packed("notice", notice) });
    },
    list: async (key) =>
      (await table.all(rowsBeginning(partitionOf(key), "q_"))).map((row) => ({ rowKey: row.rowKey, notice: noticeIn(row) })),
    remove: async (key, waiting) => {
      for (let from = 0; from < waiting.length; from += MOST_A_TRANSACTION) {
        const keys = waiting
          .slice(from, from + MOST_A_TRANSACTION)
          .map(({ rowKey }) => ({ partitionKey: partitionOf(key), rowKey }));
        const { outcome } = await table.transact(keys.map((remove) => ({ remove })));
        // Somebody else has removed some of them.
        if (outcome !== "done") for (const remove of keys) await table.transact([{ remove }]);
      }
    },
  };
}

const partitionOf = ({ partnerId, id }: RecipientKey): string => `${partnerId}_${id}`;
const noticeIn = (row: StoredRow): Notice => unpacked(row, "notice") as Notice;
