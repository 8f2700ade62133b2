/** The loop GUID in a rule's condition: looked up at the last moment, seen by nobody. */
import { ControlPlaneError } from "../errors.ts";
import { isInVault, type SecretReference } from "../vault/reference.ts";
import type { Sealed, Vaults } from "../vault/client.ts";

/** Where a rule's secret is: the vault belongs to the Azure side, which may be another Entra tenant than Microsoft 365. */
export interface LoopGuidPlace {
  loopGuid: SecretReference;
  /** Entra tenant of the vault's subscription. */
  vaultTenantId: string;
}

export type SecretVaults = Pick<Vaults, "read" | "seal">;

/** The words of a rule's condition as reference or fingerprint; none at all is `null`. */
export async function sealedWords(
  vaults: SecretVaults,
  words: string[],
  { loopGuid, vaultTenantId }: LoopGuidPlace,
): Promise<Sealed | null> {
  if (words.length === 0) return null;
  return vaults.seal(words.join("\n"), isInVault(loopGuid) ? [loopGuid] : [], vaultTenantId);
}

/** To be written into a rule. */
export async function loopGuidFor(vaults: SecretVaults, { loopGuid, vaultTenantId }: LoopGuidPlace): Promise<string> {
  if (!isInVault(loopGuid))
    throw new ControlPlaneError(
      "LoopGuidUnknown",
      "a person has made this rule's loop GUID, and we know no more than its fingerprint: put it back by hand",
      409,
    );
  return vaults.read(loopGuid, vaultTenantId);
}
