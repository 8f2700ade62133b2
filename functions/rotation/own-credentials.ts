/** The credentials of a tenant: those that stand in the store, and those that have a row from their first rotation on. */
import type { Ground } from "../../shared/desired/state.ts";
import type { CredentialRecord, NewCredential } from "../../shared/stores/credentials.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import type { CredentialName } from "../../shared/vault/credential-names.ts";
import { isInVault } from "../../shared/vault/reference.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

export async function credentialsOf(
  { credentials }: Pick<Stores, "credentials">,
  tenant: TenantRecord,
): Promise<CredentialRecord[]> {
  const known = await credentials.list(tenant.partnerId, tenant.id);
  const first = firstOf(tenant).filter(({ name }) => known.every((one) => one.name !== name));
  return [...known, ...first.map((one) => ({ ...one, generation: 1, updatedAt: tenant.createdAt }))];
}

/** As onboarding has made them; none before. */
export function firstOf({ partnerId, id: tenantId, facts }: TenantRecord): NewCredential[] {
  const ground = facts["ground"] as Pick<Ground, "loopGuid" | "adminPassword"> | undefined;
  if (ground === undefined) return [];
  const { loopGuid, adminPassword } = ground;
  const all: [CredentialName, Ground["loopGuid"] | undefined][] = [
    ["loopGuid", loopGuid],
    ["administratorPassword", adminPassword],
  ];
  return all.flatMap(([name, reference]) => {
    // Where a person made it we know no more than its fingerprint.
    if (reference === undefined || !isInVault(reference)) return [];
    const current = { reference, keyId: reference.version };
    return [{ partnerId, tenantId, name, vaultUrl: reference.vaultUrl, objectId: "", clientId: "", current }];
  });
}
