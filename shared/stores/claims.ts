/**
 * Table `claims`: partition = row = `<kind>_<id>`, one row for the whole platform. Our application is one in all tenants, so what one
 * partner's customer granted must not serve another partner: creating the row is the claim, and the first one holds it.
 */
import type { Storage } from "./storage.ts";
import { createTable } from "./table.ts";

/** `organization`: a Microsoft 365, for one tenant. `subscription`: an Azure subscription, for all tenants of one partner. */
export type ClaimKind = "organization" | "subscription";

export interface Claimant {
  partnerId: string;
  /** Empty where the claim is the partner's. */
  tenantId: string;
}

export interface ClaimStore {
  /** True when the claim is this claimant's, now or already. */
  claim(kind: ClaimKind, id: string, claimant: Claimant): Promise<boolean>;
  /** Who holds it. */
  holder(kind: ClaimKind, id: string): Promise<Claimant | undefined>;
  /** Gives up one's own claim; somebody else's stays. */
  release(kind: ClaimKind, id: string, claimant: Claimant): Promise<void>;
}

export function createClaimStore(storage: Storage): ClaimStore {
  const table = createTable(storage, "claims");
  const keyOf = (kind: ClaimKind, id: string) => {
    const key = `${kind}_${id.toLowerCase()}`;
    return { partitionKey: key, rowKey: key };
  };
  const held = async (kind: ClaimKind, id: string): Promise<(Claimant & { etag: string }) | undefined> => {
    const row = await table.get(keyOf(kind, id));
    return row && { partnerId: String(row["partnerId"]), tenantId: String(row["tenantId"]), etag: row.etag };
  };
  const same = (one: Claimant | undefined, other: Claimant): boolean =>
    one !== undefined && one.partnerId === other.partnerId && one.tenantId === other.tenantId;
  return {
    claim: async (kind, id, claimant) => {
      const { partnerId, tenantId } = claimant;
      const { outcome } = await table.create({ ...keyOf(kind, id), partnerId, tenantId });
      return outcome === "done" || same(await held(kind, id), claimant);
    },
    holder: async (kind, id) => {
      const found = await held(kind, id);
      return found && { partnerId: found.partnerId, tenantId: found.tenantId };
    },
    release: async (kind, id, claimant) => {
      const found = await held(kind, id);
      if (found && same(found, claimant)) await table.remove(keyOf(kind, id), found.etag);
    },
  };
}
