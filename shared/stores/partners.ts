/**
 * Table `partners`: partition `partners` (some thousand rows), row `p_<partnerId>` for a partner and row `c_<tid>_<azp>` for its client.
 * Both are written in one transaction, so a client belongs to one partner at every instant, and a token's caller is one point read.
 */
import type { Clock } from "../clock.ts";
import { refusal } from "../api/error-codes.ts";
import { rowsBeginning } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { type Action, createTable, type Page, type StoredRow, textOf, untilUncontested, type Versioned } from "./table.ts";

export interface PartnerRecord {
  id: string;
  displayName: string;
  /** `tid` of its tokens, lower case. */
  entraTenantId: string;
  /** `azp` of its tokens, lower case. */
  clientId: string;
  createdAt: string;
  lastUpdatedAt: string;
}

export type PartnerRegistration = Pick<PartnerRecord, "id" | "displayName" | "entraTenantId" | "clientId">;

export interface PartnerStore {
  /** Throws PartnerNotFound. */
  get(partnerId: string): Promise<Versioned<PartnerRecord>>;
  find(partnerId: string): Promise<Versioned<PartnerRecord> | undefined>;
  findByClient(entraTenantId: string, clientId: string): Promise<{ partnerId: string; displayName: string } | undefined>;
  /**
   * Adds or replaces; a registration that says what is there already changes nothing. `check` sees the ETag of what is there
   * (`undefined` for nothing) and throws to refuse. Throws PartnerClientInUse.
   */
  put(
    registration: PartnerRegistration,
    check: (etag: string | undefined) => void,
  ): Promise<{ partner: Versioned<PartnerRecord>; created: boolean }>;
  list(pageSize: number, after?: string): Promise<Page<Versioned<PartnerRecord>>>;
}

const PARTITION = "partners";

export function createPartnerStore(storage: Storage, clock: Clock): PartnerStore {
  const table = createTable(storage, "partners");

  async function find(partnerId: string): Promise<Versioned<PartnerRecord> | undefined> {
    const row = await table.get(partnerKey(partnerId));
    return row && recordOf(row);
  }

  return {
    find,
    get: async (partnerId) => {
      const found = await find(partnerId);
      if (!found) throw refusal("PartnerNotFound", `there is no partner ${partnerId}`);
      return found;
    },
    findByClient: async (entraTenantId, clientId) => {
      const row = await table.get(clientKey(entraTenantId, clientId));
      return row && { partnerId: textOf(row, "partnerId"), displayName: textOf(row, "displayName") };
    },
    put: async (registration, check) =>
      untilUncontested(`partner ${registration.id}`, async () => {
        const known = await find(registration.id);
        check(known?.etag);
        if (known && same(known, registration)) return { partner: known, created: false };
        const now = new Date(clock.now()).toISOString();
        const { id, displayName, entraTenantId, clientId } = registration;
        const record: PartnerRecord = {
          id,
          displayName,
          entraTenantId,
          clientId,
          createdAt: known?.createdAt ?? now,
          lastUpdatedAt: now,
        };
        const clientRow = { ...clientKey(entraTenantId, clientId), partnerId: id, displayName };
        const clientStays = known?.entraTenantId === entraTenantId && known.clientId === clientId;
        const actions: Action[] = [
          known ? { replace: rowOf(record), etag: known.etag } : { create: rowOf(record) },
          clientStays ? { upsert: clientRow } : { create: clientRow },
          ...(known && !clientStays ? [{ remove: clientKey(known.entraTenantId, known.clientId) }] : []),
        ];
        const written = await table.transact(actions);
        if (written.outcome === "done") return { partner: { ...record, etag: written.etag }, created: !known };
        if (written.outcome === "exists" && written.refused === 1) {
          const owner = await table.get(clientKey(entraTenantId, clientId));
          // Ours if the answer to a first, successful try was lost.
          if (owner && owner.partnerId !== id) {
            throw refusal(
              "PartnerClientInUse",
              `tenant ${entraTenantId} with client ${clientId} is registered for another partner`,
            );
          }
        }
        return undefined;
      }),
    list: async (pageSize, after) => {
      const { items, ...rest } = await table.page(rowsBeginning(PARTITION, "p_"), pageSize, after);
      return { items: items.map(recordOf), ...rest };
    },
  };
}

const partnerKey = (partnerId: string) => ({ partitionKey: PARTITION, rowKey: `p_${partnerId}` });
const clientKey = (entraTenantId: string, clientId: string) => ({
  partitionKey: PARTITION,
  rowKey: `c_${entraTenantId}_${clientId}`.toLowerCase(),
});

const same = (known: PartnerRecord, wanted: PartnerRegistration): boolean =>
  known.displayName === wanted.displayName && known.entraTenantId === wanted.entraTenantId && known.clientId === wanted.clientId;

const rowOf = ({ id, ...properties }: PartnerRecord) => ({ ...partnerKey(id), ...properties });

const recordOf = (row: StoredRow): Versioned<PartnerRecord> => ({
  id: row.rowKey.slice(2),
  displayName: textOf(row, "displayName"),
  entraTenantId: textOf(row, "entraTenantId"),
  clientId: textOf(row, "clientId"),
  createdAt: textOf(row, "createdAt"),
  lastUpdatedAt: textOf(row, "lastUpdatedAt"),
  etag: row.etag,
});
