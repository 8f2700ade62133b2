/** A rule accepts one loop GUID, or two while it is replaced: whatever their order, what is observed agrees with what is desired. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { acceptedWords, sealedWords, wordsOf } from "../../shared/exchange/loop-guid.ts";
import { fingerprint } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";

const referenceTo = (version: string): SecretReference => ({
  vaultUrl: "https://contoso.vault.example",
  name: "loop-guid",
  version,
});
const textOf = ({ version }: SecretReference): string => `text-${version}`;
const vaults = {
  read: async (reference: SecretReference) => textOf(reference),
  seal: async (value: string, references: readonly SecretReference[]) =>
    references.find((reference) => textOf(reference) === value) ?? fingerprint(value, "loop-guid"),
};
const place = (loopGuid: string, otherLoopGuid?: string) => ({
  loopGuid: referenceTo(loopGuid),
  ...(otherLoopGuid === undefined ? {} : { otherLoopGuid: referenceTo(otherLoopGuid) }),
  vaultTenantId: "contoso",
});

test("what was written is observed as desired, in whatever order Exchange shows it, and nothing else is", async () => {
  const version = fc.stringMatching(/^[0-9a-f]{4}$/);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(version, { minLength: 2, maxLength: 3 }),
      fc.boolean(),
      async ([one = "", other = "", third], both) => {
        const wanted = place(one, both ? other : undefined);
        const words = await wordsOf(vaults, wanted);
        expect(words.length).toBe(both ? 2 : 1);
        expect(await sealedWords(vaults, words.toReversed(), wanted)).toEqual(acceptedWords(wanted));
        const turned = both ? place(other, one) : wanted;
        expect(acceptedWords(turned)).toEqual(acceptedWords(wanted));
        const foreign = [...words, `text-${third ?? "foreign"}`];
        expect(await sealedWords(vaults, foreign, wanted)).not.toEqual(acceptedWords(wanted));
      },
    ),
    { numRuns: 60 },
  );
  expect(await sealedWords(vaults, [], place("1"))).toBeNull();
});
