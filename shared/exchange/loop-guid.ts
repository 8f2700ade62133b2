/** The loop GUID in a rule's condition: looked up at the last moment, seen by nobody. */
import { ControlPlaneError } from "../errors.ts";
import { isInVault, type SecretReference } from "../vault/reference.ts";
import type { Sealed, Vaults } from "../vault/client.ts";

/** Where a rule's secret is: the vault belongs to the Azure side, which may be another Entra tenant than Microsoft 365. */
export interface LoopGuidPlace {
  loopGuid: SecretReference;
  /** While it is being replaced: the other one that is accepted as well. */
  otherLoopGuid?: SecretReference | undefined;
  /** Entra tenant of the vault's subscription. */
  vaultTenantId: string;
}

export type SecretVaults = Pick<Vaults, "read" | "seal">;

/** One, or several that are accepted alike. */
export type SealedWords = Sealed | Sealed[];

const accepted = ({ loopGuid, otherLoopGuid }: Omit<LoopGuidPlace, "vaultTenantId">): SecretReference[] =>
  otherLoopGuid === undefined
    ? [loopGuid]
    : [loopGuid, otherLoopGuid].toSorted((one, other) => one.version.localeCompare(other.version));

/** What a rule is to accept, as it is compared with what is observed. */
export function acceptedWords(place: Omit<LoopGuidPlace, "vaultTenantId">): SealedWords {
  const [only, ...more] = accepted(place);
  return only && more.length === 0 ? only : accepted(place);
}

/** The words themselves, for the call that writes them. */
export async function wordsOf(vaults: SecretVaults, place: LoopGuidPlace): Promise<string[]> {
  const references = accepted(place);
  if (!references.every(isInVault))
    throw new ControlPlaneError(
      "LoopGuidUnknown",
      "a person has made this rule's loop GUID, and we know no more than its fingerprint: put it back by hand",
      409,
    );
  return Promise.all(references.map((reference) => vaults.read(reference, place.vaultTenantId)));
}

/** The words of a rule's condition as references or fingerprints; none at all is `null`. */
export async function sealedWords(vaults: SecretVaults, words: string[], place: LoopGuidPlace): Promise<SealedWords | null> {
  if (words.length === 0) return null;
  const references = accepted(place).filter(isInVault);
  const sealed = await Promise.all(words.map((word) => vaults.seal(word, references, place.vaultTenantId)));
  const [only, ...more] = sealed;
  if (only && more.length === 0) return only;
  return sealed.toSorted((one, other) => nameOf(one).localeCompare(nameOf(other)));
}

const nameOf = (sealed: Sealed): string => ("version" in sealed ? sealed.version : sealed.fingerprint);
