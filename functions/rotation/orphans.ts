/**
 * Client secrets that nobody will ever use, and that Entra takes all the same until they end: those that were made and never stored,
 * because whoever made them died in between, and those that a late worker stored for a generation that had ended by then. They are swept
 * by age, apart from where secrets are made, so that none is taken away from who is about to store it.
 */
import { audited } from "../../shared/resources/audited-step.ts";
import { type CredentialRecord, isClientSecret } from "../../shared/stores/credentials.ts";
import { secretNames } from "../../shared/vault/credential-names.ts";
import { OURS } from "./activities.ts";
import type { RotationWorld } from "./world.ts";

/** Longer than any try to store one goes on. */
const AGE_IN_MILLISECONDS = 24 * 3600 * 1000;

/**
 * Gives how many went. Those stay that the vault knows for a generation that is still to come: a failed rotation may have given one to a
 * gateway. Of those that have come every gateway was seen to hold the current one.
 */
export async function removeOrphans(
  { stores, passwords, vaults, clock }: RotationWorld,
  { partnerId, tenantId, name, generation, vaultUrl, objectId, current, previous }: CredentialRecord,
): Promise<number> {
  if (!isClientSecret(name)) return 0;
  const { spec } = await stores.tenants.get(partnerId, tenantId);
  const organization = spec.microsoft365.tenantId;
  const old = (await passwords.list(organization, objectId)).filter(
    ({ displayName, startDateTime }) =>
      displayName?.startsWith(OURS) === true &&
      startDateTime !== null &&
      Date.parse(startDateTime) < clock.now() - AGE_IN_MILLISECONDS,
  );
  const known = new Set([current?.keyId, previous?.keyId]);
  if (old.every(({ keyId }) => known.has(keyId))) return 0;
  for (const { tags } of await vaults.versions(vaultUrl, secretNames[name], spec.azure.tenantId))
    if (Number(tags["gatehouse-generation"]) > generation) known.add(tags["gatehouse-key"]);
  const orphans = old.filter(({ keyId }) => !known.has(keyId));
  for (const { keyId } of orphans)
    await audited(stores.audit, { partnerId, tenantId }, { action: "remove", target: { kind: name, name: keyId } }, () =>
      passwords.remove(organization, objectId, keyId),
    );
  return orphans.length;
}
