/** The credentials of a tenant: those that stand in the store, and the loop GUID, which has a row from its first rotation on. */
import type { Ground } from "../../shared/desired/state.ts";
import type { CredentialRecord, NewCredential } from "../../shared/stores/credentials.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import { isInVault } from "../../shared/vault/reference.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

export async function credentialsOf(
  { credentials }: Pick<Stores, "credentials">,
  tenant: TenantRecord,
): Promise<CredentialRecord[]> {
  const known = await credentials.list(tenant.partnerId, tenant.id);
  const first = firstLoopGuid(tenant);
  if (first === undefined || known.some(({ name }) => name === "loopGuid")) return known;
  return [...known, { ...first, generation: 1, updatedAt: tenant.createdAt }];
}

/** As onboarding has made it; undefined before. */
export function firstLoopGuid({ partnerId, id: tenantId, facts }: TenantRecord): NewCredential | undefined {
  const ground = facts["ground"] as Pick<Ground, "loopGuid"> | undefined;
  // Where a person made it we know no more than its fingerprint.
  if (ground === undefined || !isInVault(ground.loopGuid)) return undefined;
  const { loopGuid: reference } = ground;
  const current = { reference, keyId: reference.version };
  return { partnerId, tenantId, name: "loopGuid", vaultUrl: reference.vaultUrl, objectId: "", clientId: "", current };
}
