/** Workers of a rotation that wake up late, during the next one: they take nothing away and change no row. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createRotationActivities } from "../../functions/rotation/activities.ts";
import { rotationSteps } from "../../functions/rotation/steps.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { systemClock } from "../../shared/clock.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { testStores, unique } from "../support/stores.ts";

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const spec = tenantSpecSchema.parse(contoso);
const version = (keyId: string) => ({
  reference: { vaultUrl: "https://contoso-kv.vault.azure.net", name: "webclient-client-secret", version: keyId },
  keyId,
  expiresAt: "2027-05-01T00:00:00.000Z",
});

/** A rotation `first` that has flipped to generation 2; `afterListing` runs between Entra's list and what follows it. */
async function flipped(afterListing: () => Promise<void> = () => Promise.resolve()) {
  const stores = testStores();
  const key = { partnerId: unique("partner"), tenantId: unique("contoso"), name: "clientSecret" as const };
  await stores.credentials.add({ ...key, vaultUrl: "https://contoso-kv.vault.azure.net", objectId: "o", clientId: "c" });
  await stores.credentials.change(key, () => ({
    generation: 2,
    current: version("two"),
    previous: version("one"),
    rotation: { operationId: "first", generation: 2 },
  }));
  for (const id of ["first", "next"])
    await stores.operations.create({
      partnerId: key.partnerId,
      tenantId: key.tenantId,
      id,
      kind: "rotation",
      requestHash: id,
      steps: rotationSteps(spec),
    });
  const live = new Set(["one", "two"]);
  // What these activities ask of the world; the rest is none of their business.
  const world = {
    stores,
    clock: systemClock,
    vaults: { read: () => Promise.resolve("text") },
    checkClientSecret: () => Promise.resolve(false),
    passwords: {
      list: async () => {
        const listed = [...live].map((keyId) => ({ keyId, displayName: `gatehouse-${keyId}` }));
        await afterListing();
        return listed;
      },
      remove: (_organization: string, _objectId: string, keyId: string) => Promise.resolve(void live.delete(keyId)),
    },
  } as unknown as RotationWorld;
  const work = (operationId: string) => ({ operationId, partnerId: key.partnerId, tenantId: key.tenantId });
  return { activities: createRotationActivities(world), stores, key, live, work };
}

test("a late revocation leaves alone what the next rotation has made", async () => {
  const { activities, stores, key, live, work } = await flipped();
  await stores.credentials.change(key, () => ({ previous: null, rotation: { operationId: "next", generation: 3 } }));
  live.delete("one");
  live.add("three");
  await activities.revokeClientSecrets({ work: work("first"), key, spec, current: version("two") });
  expect([...live]).toEqual(["two", "three"]);
});

test("one that fell asleep after it had listed takes only what was there then", async () => {
  let made = (): Promise<void> => Promise.resolve();
  const { activities, live, key, work } = await flipped(() => made());
  made = () => Promise.resolve(void live.add("three"));
  await activities.revokeClientSecrets({ work: work("first"), key, spec, current: version("two") });
  expect([...live]).toEqual(["two", "three"]);
});

test("late flips and ends change no row that another rotation holds", async () => {
  const { activities, stores, key, work } = await flipped();
  await stores.credentials.change(key, () => ({ rotation: { operationId: "next", generation: 3 } }));
  const before = await stores.credentials.find(key);
  await activities.flipClientSecret({ work: work("first"), key, generation: 3, made: version("late") });
  expect(await stores.credentials.find(key)).toEqual(before);
});

test("one rotation at a time; the one that failed after its flip goes on with what it flipped to", async () => {
  const { activities, stores, key, work } = await flipped();
  expect(await activities.claimRotation({ work: work("next"), key, generation: 2 })).toEqual({ claimed: false });
  await stores.credentials.change(key, () => ({ rotation: null }));
  expect(await activities.claimRotation({ work: work("next"), key, generation: 2 })).toEqual({
    claimed: true,
    flipped: version("two"),
  });
  // Run again, as after a kill before the answer was noted.
  expect(await activities.claimRotation({ work: work("next"), key, generation: 2 })).toMatchObject({ claimed: true });
});
