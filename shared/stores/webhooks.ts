/**
 * Table `webhooks`: partition = partner; row `w_<webhookId>` what the partner wants, row `c_<webhookId>` the circuit to its receiver, which
 * is there only while calls fail and changes without touching the partner's ETag.
 */
import { refusal } from "../api/error-codes.ts";
import type { Webhook, WebhookInput } from "../api/webhook.ts";
import type { Clock } from "../clock.ts";
import type { SecretReference } from "../vault/reference.ts";
import { all, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, packed, type Page, type StoredRow, unpacked, untilUncontested, type Versioned } from "./table.ts";

export interface WebhookRecord extends Omit<WebhookInput, "enabled"> {
  partnerId: string;
  id: string;
  enabled: boolean;
  disabledReason?: Webhook["disabledReason"];
  /** The newest first; all of them sign. */
  secrets: { reference: SecretReference; until?: string }[];
  /** Counts them, those that are gone included. */
  generation: number;
  createdAt: string;
  lastUpdatedAt: string;
}

export interface Circuit {
  /** Failures in a row. */
  failures: number;
  /** Nothing is sent before. */
  openUntil?: string;
  lastFailure: { at: string; reason: string };
}

type WebhookKey = Pick<WebhookRecord, "partnerId" | "id">;

export interface WebhookStore {
  find(partnerId: string, webhookId: string): Promise<Versioned<WebhookRecord> | undefined>;
  /** Throws WebhookNotFound. */
  get(partnerId: string, webhookId: string): Promise<Versioned<WebhookRecord>>;
  /** All of a partner, which are few. */
  list(partnerId: string): Promise<{ webhook: Versioned<WebhookRecord>; circuit: Circuit | undefined }[]>;
  /** Whether a partner has any that is not disabled. */
  anyOf(partnerId: string): Promise<boolean>;
  /** Of all partners. */
  everyOne(after?: string): Promise<Page<Versioned<WebhookRecord>>>;
  /** Undefined when it is there already. */
  create(record: WebhookRecord): Promise<Versioned<WebhookRecord> | undefined>;
  /** Over what was read; undefined when somebody else wrote in between. */
  replace(known: Versioned<WebhookRecord>, changed: Partial<WebhookRecord>): Promise<Versioned<WebhookRecord> | undefined>;
  /** Reads, decides, writes over what was read; `undefined` leaves all as it is. Throws WebhookNotFound. */
  change(
    key: WebhookKey,
    decide: (known: Versioned<WebhookRecord>) => Partial<WebhookRecord> | undefined,
  ): Promise<Versioned<WebhookRecord>>;
  /** False when it was changed since it was read. */
  delete(record: Versioned<WebhookRecord>): Promise<boolean>;
  circuitOf(key: WebhookKey): Promise<Versioned<Circuit> | undefined>;
  /** `known` as it was read; false when somebody else wrote in between. */
  setCircuit(key: WebhookKey, known: Versioned<Circuit> | undefined, circuit: Circuit): Promise<boolean>;
  closeCircuit(key: WebhookKey): Promise<void>;
}

export function createWebhookStore(storage: Storage, clock: Clock): WebhookStore {
  const table = createTable(storage, "webhooks");

  const find: WebhookStore["find"] = async (partnerId, webhookId) => {
    const row = await table.get(keyOf({ partnerId, id: webhookId }));
    return row && recordOf(row);
  };
  const get: WebhookStore["get"] = async (partnerId, webhookId) => {
    const found = await find(partnerId, webhookId);
    if (!found) throw refusal("WebhookNotFound", `there is no webhook ${webhookId}`);
    return found;
  };
  const list: WebhookStore["list"] = async (partnerId) => {
    const rows = await table.all(where("PartitionKey", "eq", partnerId));
    const circuits = new Map(rows.filter(({ rowKey }) => rowKey.startsWith("c_")).map((row) => [row.rowKey.slice(2), row]));
    return rows
      .filter(({ rowKey }) => rowKey.startsWith("w_"))
      .map((row) => {
        const circuit = circuits.get(row.rowKey.slice(2));
        return { webhook: recordOf(row), circuit: circuit && circuitIn(circuit) };
      });
  };
  const replace: WebhookStore["replace"] = async ({ etag, ...record }, changed) => {
    const next: WebhookRecord = { ...record, ...changed, lastUpdatedAt: new Date(clock.now()).toISOString() };
    const written = await table.replace(rowOf(next), etag);
    return written.outcome === "done" ? { ...next, etag: written.etag } : undefined;
  };
  const closeCircuit: WebhookStore["closeCircuit"] = async (key) => {
    const known = await table.get(circuitKeyOf(key));
    if (known) await table.remove(known, known.etag);
  };

  return {
    find,
    get,
    closeCircuit,
    list,
    anyOf: async (partnerId) => (await list(partnerId)).some(({ webhook }) => webhook.enabled),
    everyOne: async (after) => {
      const { items, ...rest } = await table.page(all(where("RowKey", "ge", "w_"), where("RowKey", "lt", "w`")), 200, after);
      return { items: items.map(recordOf), ...rest };
    },
    create: async (record) => {
      const written = await table.create(rowOf(record));
      return written.outcome === "done" ? { ...record, etag: written.etag } : undefined;
    },
    replace,
    change: (key, decide) =>
      untilUncontested(`webhook ${key.id}`, async () => {
        const known = await get(key.partnerId, key.id);
        const changed = decide(known);
        return changed === undefined ? known : replace(known, changed);
      }),
    delete: async (record) => {
      const { outcome } = await table.remove(keyOf(record), record.etag);
      if (outcome === "done") await closeCircuit(record);
      return outcome === "done";
    },
    circuitOf: async (key) => {
      const row = await table.get(circuitKeyOf(key));
      return row && { ...circuitIn(row), etag: row.etag };
    },
    setCircuit: async (key, known, circuit) => {
      const row = { ...circuitKeyOf(key), ...packed("circuit", circuit) };
      const { outcome } = known ? await table.replace(row, known.etag) : await table.create(row);
      return outcome === "done";
    },
  };
}

const keyOf = ({ partnerId, id }: WebhookKey) => ({ partitionKey: partnerId, rowKey: `w_${id}` });
const circuitKeyOf = ({ partnerId, id }: WebhookKey) => ({ partitionKey: partnerId, rowKey: `c_${id}` });

const rowOf = ({ partnerId, id, ...details }: WebhookRecord) => ({
  ...keyOf({ partnerId, id }),
  ...packed("details", details),
});

const recordOf = (row: StoredRow): Versioned<WebhookRecord> => ({
  ...(unpacked(row, "details") as Omit<WebhookRecord, "partnerId" | "id">),
  partnerId: row.partitionKey,
  id: row.rowKey.slice(2),
  etag: row.etag,
});

const circuitIn = (row: StoredRow): Circuit => unpacked(row, "circuit") as Circuit;
