/** Credentials' rows: added once, changed under their etag, found by the secret that an event names. */
import { expect, test } from "vitest";
import { generationToMake, mayBegin } from "../../shared/stores/credentials.ts";
import { testStores, unique } from "../support/stores.ts";

const { credentials } = testStores();
const version = (name: string, vaultUrl: string) => ({
  reference: { vaultUrl, name: "webclient-client-secret", version: name },
  keyId: `key-${name}`,
  expiresAt: "2027-05-01T00:00:00.000Z",
});
async function added() {
  const key = { partnerId: unique("partner"), tenantId: unique("contoso"), name: "clientSecret" as const };
  const vaultUrl = `https://${unique("Kv")}.vault.azure.net`;
  await credentials.add({ ...key, vaultUrl, objectId: "object", clientId: "client" });
  return { key, vaultUrl };
}

test("adding again changes nothing", async () => {
  const { key, vaultUrl } = await added();
  await credentials.change(key, () => ({ generation: 2, current: version("one", vaultUrl) }));
  await credentials.add({ ...key, vaultUrl, objectId: "other", clientId: "other" });
  expect(await credentials.find(key)).toMatchObject({ generation: 2, objectId: "object", current: { keyId: "key-one" } });
});

test("two that claim at once: one has it", async () => {
  const { key } = await added();
  const claim = (operationId: string) =>
    credentials.change(key, ({ rotation }) => (rotation ? undefined : { rotation: { operationId, generation: 2 } }));
  const [one, other] = await Promise.all([claim("one"), claim("other")]);
  expect(one.rotation).toEqual(other.rotation);
});

test("null takes a property away; what is not named stays", async () => {
  const { key, vaultUrl } = await added();
  const [current, previous] = [version("two", vaultUrl), version("one", vaultUrl)];
  await credentials.change(key, () => ({ current, previous, rotation: { operationId: "one", generation: 2 } }));
  const changed = await credentials.change(key, () => ({ rotation: null, previous: null }));
  expect([changed.current, changed.previous, changed.rotation]).toEqual([current, undefined, undefined]);
  expect(await credentials.find(key)).toEqual(changed);
});

test("an event's vault and secret lead to the credential, in any case of letters; others' to none", async () => {
  const { key, vaultUrl } = await added();
  expect(await credentials.findBySecret(vaultUrl.toLowerCase(), "WebClient-Client-Secret")).toMatchObject(key);
  expect(await credentials.findBySecret(vaultUrl, "loop-guid")).toBeUndefined();
  expect(await credentials.findBySecret("https://elsewhere.vault.azure.net", "webclient-client-secret")).toBeUndefined();
});

test("the sweep sees all, a partner its own", async () => {
  const { key } = await added();
  expect((await credentials.all()).filter(({ tenantId }) => tenantId === key.tenantId)).toHaveLength(1);
  expect(await credentials.list(key.partnerId, key.tenantId)).toHaveLength(1);
  expect(await credentials.list(unique("partner"), key.tenantId)).toEqual([]);
});

test("a rotation that failed before the old secret was revoked is finished, not repeated", () => {
  expect(generationToMake({ generation: 1 })).toBe(2);
  expect(generationToMake({ generation: 2, previous: version("one", "https://kv.vault.azure.net") })).toBe(2);
});

test("an emergency makes the next one while an old one is left over; failed after its flip it may do its own rest", () => {
  const flipped = { generation: 2, previous: version("one", "https://kv.vault.azure.net") };
  expect([1, 2, 3].map((generation) => mayBegin(flipped, generation, true))).toEqual([false, true, true]);
  const waits = { ...flipped, rotation: { operationId: "other", generation: 2 } };
  expect([2, 3].map((generation) => mayBegin(waits, generation, true))).toEqual([false, true]);
  expect([2, 3].map((generation) => mayBegin({ generation: 2 }, generation, true))).toEqual([false, true]);
});
