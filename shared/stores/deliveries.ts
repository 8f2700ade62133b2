/**
 * Tables `deliveries<yyyymm>`, by the month of the event: partition = `<partner>_<webhook>`, row `d_<newest first>_<eventId>` a delivery,
 * row `p_<deliveryId>` one that is pending; both are written in one transaction. Table `deliverymonths`: which months a partition has.
 */
import { refusal } from "../api/error-codes.ts";
import type { Delivery } from "../api/webhook.ts";
import type { Notice } from "../webhooks/message.ts";
import { where } from "./filter.ts";
import { createMonthlyTables, type Look } from "./months.ts";
import type { Storage } from "./storage.ts";
import {
  type Action,
  newestFirst,
  packed,
  type Page,
  type StoredRow,
  textOf,
  unpacked,
  untilUncontested,
  type Versioned,
} from "./table.ts";

/** Whose deliveries. */
export interface WebhookName {
  partnerId: string;
  webhookId: string;
}

export interface DeliveryRecord extends WebhookName, Pick<Delivery, "id" | "state" | "reason" | "tries"> {
  notice: Notice;
  /** When the next try is due; a message that names another time is an old one. */
  dueAt: string;
  /** Tries that count towards giving up: those since it was last asked for. */
  counted: number;
  /** Given up then at the latest. */
  expiresAt: string;
}

export interface DeliveryStore {
  /** The one that is there, if the same event was to be delivered there before. */
  open(delivery: Omit<DeliveryRecord, "id">): Promise<Versioned<DeliveryRecord>>;
  find(name: WebhookName, deliveryId: string): Promise<Versioned<DeliveryRecord> | undefined>;
  /** Throws WebhookDeliveryNotFound. */
  get(name: WebhookName, deliveryId: string): Promise<Versioned<DeliveryRecord>>;
  /** Reads, decides, writes over what was read; `undefined` leaves all as it is. */
  change(
    name: WebhookName,
    deliveryId: string,
    decide: (known: Versioned<DeliveryRecord>) => Partial<DeliveryRecord> | undefined,
  ): Promise<Versioned<DeliveryRecord>>;
  /** Newest first. */
  list(name: WebhookName, state: string | undefined, pageSize: number, after?: string): Promise<Page<Versioned<DeliveryRecord>>>;
  /** Those that wait for a try. */
  pending(name: WebhookName, look?: Look): Promise<Versioned<DeliveryRecord>[]>;
}

export const deliveryIdOf = ({ id, at }: Pick<Notice, "id" | "at">): string =>
  `${String(Date.parse(at)).padStart(13, "0")}-${id}`;

export function createDeliveryStore(storage: Storage): DeliveryStore {
  const months = createMonthlyTables(storage, "deliveries", "deliverymonths");
  const tableOf = (deliveryId: string) => months.of(months.monthOf(new Date(timeIn(deliveryId)).toISOString()));

  const find: DeliveryStore["find"] = async (name, deliveryId) => {
    const row = await tableOf(deliveryId).get(keyOf(name, deliveryId));
    return row && recordOf(row);
  };
  const get: DeliveryStore["get"] = async (name, deliveryId) => {
    const found = await find(name, deliveryId);
    if (!found) throw refusal("WebhookDeliveryNotFound", `there is no delivery ${deliveryId}`);
    return found;
  };

  return {
    find,
    get,
    open: async (delivery) => {
      const id = deliveryIdOf(delivery.notice);
      const record: DeliveryRecord = { ...delivery, id };
      await months.note(partitionOf(delivery), months.monthOf(delivery.notice.at));
      const { partitionKey } = keyOf(delivery, id);
      const written = await tableOf(id).transact([{ create: rowOf(record) }, { create: { partitionKey, rowKey: `p_${id}` } }]);
      return written.outcome === "done" ? { ...record, etag: written.etag } : get(delivery, id);
    },
    change: (name, deliveryId, decide) =>
      untilUncontested(`delivery ${deliveryId}`, async () => {
        const known = await get(name, deliveryId);
        const changed = decide(known);
        if (changed === undefined) return known;
        const { etag, ...record } = known;
        const next: DeliveryRecord = { ...record, ...changed };
        const pointer = { partitionKey: partitionOf(name), rowKey: `p_${deliveryId}` };
        const actions: Action[] = [{ replace: rowOf(next), etag }];
        if (known.state === "pending" && next.state !== "pending") actions.push({ remove: pointer });
        if (known.state !== "pending" && next.state === "pending") actions.push({ upsert: pointer });
        const written = await tableOf(deliveryId).transact(actions);
        return written.outcome === "done" ? { ...next, etag: written.etag } : undefined;
      }),
    list: async (name, state, pageSize, after) => {
      const filters = state === undefined ? [] : [where("state", "eq", state)];
      const { items, ...rest } = await months.page(partitionOf(name), "d_", filters, pageSize, after);
      return { items: items.map(recordOf), ...rest };
    },
    pending: async (name, look = "all") => {
      const rows = await months.waiting(partitionOf(name), "p_", look);
      const found = await Promise.all(rows.map(({ rowKey }) => find(name, rowKey.slice(2))));
      return found.filter((one) => one !== undefined);
    },
  };
}

const timeIn = (deliveryId: string): number => Number(deliveryId.slice(0, 13));
const partitionOf = ({ partnerId, webhookId }: WebhookName): string => `${partnerId}_${webhookId}`;
const keyOf = (name: WebhookName, deliveryId: string) => ({
  partitionKey: partitionOf(name),
  rowKey: `d_${newestFirst(timeIn(deliveryId))}_${deliveryId.slice(14)}`,
});

const rowOf = ({ partnerId, webhookId, id, state, ...details }: DeliveryRecord) => ({
  ...keyOf({ partnerId, webhookId }, id),
  id,
  state,
  ...packed("details", details),
});

function recordOf(row: StoredRow): Versioned<DeliveryRecord> {
  const [partnerId = "", webhookId = ""] = row.partitionKey.split("_");
  const details = unpacked(row, "details") as Omit<DeliveryRecord, "partnerId" | "webhookId" | "id" | "state">;
  return {
    ...details,
    partnerId,
    webhookId,
    id: textOf(row, "id"),
    state: textOf(row, "state") as DeliveryRecord["state"],
    etag: row.etag,
  };
}
