/**
 * Table `mailrecipients`: partition = partner; row `r_<recipientId>` what the partner wants and the recipient has confirmed, row
 * `s_<recipientId>` how its mails go, which changes without touching the partner's ETag.
 */
import { refusal } from "../api/error-codes.ts";
import type { MailRecipient, MailRecipientInput } from "../api/mail-recipient.ts";
import type { Clock } from "../clock.ts";
import { all, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type Page, type StoredRow, unpacked, untilUncontested, type Versioned } from "./table.ts";

export interface RecipientKey {
  partnerId: string;
  id: string;
}

export interface MailRecipientRecord extends RecipientKey, MailRecipientInput {
  state: MailRecipient["state"];
  /** What code is waited for. The code itself follows from this and our key, and is kept nowhere. */
  confirmation: { number: number; askedAt: string; expiresAt: string; tries: number; sentAt?: string };
  createdAt: string;
  lastUpdatedAt: string;
}

/** How mails to a recipient go. */
export interface MailState {
  /** Whoever sends at this moment; after `until` it has died. */
  lease?: { id: string; until: string };
  /** Until then events are stacked, or a mailbox that failed is left alone. */
  notBefore?: string;
  lastSentAt?: string;
  failures: number;
  lastFailure?: { at: string; reason: string };
}

export interface MailRecipientStore {
  find(key: RecipientKey): Promise<Versioned<MailRecipientRecord> | undefined>;
  /** Throws MailRecipientNotFound. */
  get(key: RecipientKey): Promise<Versioned<MailRecipientRecord>>;
  /** All of a partner, which are few. */
  list(partnerId: string): Promise<{ recipient: Versioned<MailRecipientRecord>; mail: MailState }[]>;
  /** Whether a partner has any to whom something is told. */
  anyOf(partnerId: string): Promise<boolean>;
  /** Of all partners. */
  everyOne(after?: string): Promise<Page<Versioned<MailRecipientRecord>>>;
  /** Undefined when it is there already. */
  create(record: MailRecipientRecord): Promise<Versioned<MailRecipientRecord> | undefined>;
  /** Over what was read; undefined when somebody else wrote in between. */
  replace(
    known: Versioned<MailRecipientRecord>,
    changed: Partial<MailRecipientRecord>,
  ): Promise<Versioned<MailRecipientRecord> | undefined>;
  /** Reads, decides, writes over what was read; `undefined` leaves all as it is. Throws MailRecipientNotFound. */
  change(
    key: RecipientKey,
    decide: (known: Versioned<MailRecipientRecord>) => Partial<MailRecipientRecord> | undefined,
  ): Promise<Versioned<MailRecipientRecord>>;
  /** False when it was changed since it was read. */
  delete(record: Versioned<MailRecipientRecord>): Promise<boolean>;
  mailOf(key: RecipientKey): Promise<MailState>;
  changeMail(key: RecipientKey, decide: (known: MailState) => MailState | undefined): Promise<MailState>;
}

const NOTHING_YET: MailState = { failures: 0 };

export const tellsNow = ({ state, enabled }: Pick<MailRecipientRecord, "state" | "enabled">): boolean =>
  state === "confirmed" && enabled;

export function createMailRecipientStore(storage: Storage, clock: Clock): MailRecipientStore {
  const table = createTable(storage, "mailrecipients");

  const find: MailRecipientStore["find"] = async (key) => {
    const row = await table.get(keyOf("r", key));
    return row && recordOf(row);
  };
  const get: MailRecipientStore["get"] = async (key) => {
    const found = await find(key);
    if (!found) throw refusal("MailRecipientNotFound", `there is no mail recipient ${key.id}`);
    return found;
  };
  const list: MailRecipientStore["list"] = async (partnerId) => {
    const rows = await table.all(where("PartitionKey", "eq", partnerId));
    const states = new Map(rows.filter(({ rowKey }) => rowKey.startsWith("s_")).map((row) => [row.rowKey.slice(2), row]));
    return rows
      .filter(({ rowKey }) => rowKey.startsWith("r_"))
      .map((row) => ({ recipient: recordOf(row), mail: mailIn(states.get(row.rowKey.slice(2))) }));
  };
  const replace: MailRecipientStore["replace"] = async ({ etag, ...record }, changed) => {
    const next: MailRecipientRecord = { ...record, ...changed, lastUpdatedAt: new Date(clock.now()).toISOString() };
    const written = await table.replace(rowOf(next), etag);
    return written.outcome === "done" ? { ...next, etag: written.etag } : undefined;
  };

  return {
    find,
    get,
    list,
    replace,
    anyOf: async (partnerId) => (await list(partnerId)).some(({ recipient }) => tellsNow(recipient)),
    everyOne: async (after) => {
      const { items, ...rest } = await table.page(all(where("RowKey", "ge", "r_"), where("RowKey", "lt", "r`")), 200, after);
      return { items: items.map(recordOf), ...rest };
    },
    create: async (record) => {
      const written = await table.create(rowOf(record));
      return written.outcome === "done" ? { ...record, etag: written.etag } : undefined;
    },
    change: (key, decide) =>
      untilUncontested(`mail recipient ${key.id}`, async () => {
        const known = await get(key);
        const changed = decide(known);
        return changed === undefined ? known : replace(known, changed);
      }),
    delete: async (record) => {
      const { outcome } = await table.remove(keyOf("r", record), record.etag);
      const state = outcome === "done" && (await table.get(keyOf("s", record)));
      if (state) await table.remove(state, state.etag);
      return outcome === "done";
    },
    mailOf: async (key) => mailIn(await table.get(keyOf("s", key))),
    changeMail: (key, decide) =>
      untilUncontested(`the mails of ${key.id}`, async () => {
        const row = await table.get(keyOf("s", key));
        const known = mailIn(row);
        const changed = decide(known);
        if (changed === undefined) return known;
        const next = { ...keyOf("s", key), ...packed("mail", changed) };
        const { outcome } = row ? await table.replace(next, row.etag) : await table.create(next);
        return outcome === "done" ? changed : undefined;
      }),
  };
}

const keyOf = (prefix: "r" | "s", { partnerId, id }: RecipientKey) => ({ partitionKey: partnerId, rowKey: `${prefix}_${id}` });

const rowOf = ({ partnerId, id, ...details }: MailRecipientRecord) => ({
  ...keyOf("r", { partnerId, id }),
  ...packed("details", details),
});

const recordOf = (row: StoredRow): Versioned<MailRecipientRecord> => ({
  ...(unpacked(row, "details") as Omit<MailRecipientRecord, "partnerId" | "id">),
  partnerId: row.partitionKey,
  id: row.rowKey.slice(2),
  etag: row.etag,
});

const mailIn = (row: StoredRow | undefined): MailState => (row ? (unpacked(row, "mail") as MailState) : NOTHING_YET);
