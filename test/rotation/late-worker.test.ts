/** Workers of a rotation that wake up late, during the next one: they take nothing away and change no row. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createRotationActivities } from "../../functions/rotation/activities.ts";
import { createLoopGuidActivities } from "../../functions/rotation/loop-guid-activities.ts";
import { rotationSteps } from "../../functions/rotation/steps.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import type { Azure } from "../../shared/azure/client.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import { done, present, type Resource } from "../../shared/resources/resource.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { Certificates } from "../../shared/vault/certificates.ts";
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

/** A tenant that stands, whose rules accept these by its facts, and what a worker of its own wants to write. */
async function standing(accepted: Pick<Ground, "loopGuid" | "otherLoopGuid">) {
  const stores = testStores();
  const key = { partnerId: unique("partner"), tenantId: unique("contoso"), name: "loopGuid" as const };
  const { partnerId, tenantId } = key;
  await stores.tenants.add(partnerId, tenantId, spec);
  await stores.tenants.change(partnerId, tenantId, () => ({ stage: "pilot", facts: { ground: accepted } }));
  await stores.credentials.add({ ...key, vaultUrl: "https://contoso-kv.vault.azure.net", objectId: "", clientId: "" });
  const work = { operationId: unique("late"), partnerId, tenantId };
  const steps = [{ name: "rule", title: "A rule", branch: "mailFlow" as const }];
  await stores.operations.create({ partnerId, tenantId, id: work.operationId, kind: "renewal", requestHash: "", steps });
  const facts = async () => (await stores.tenants.get(partnerId, tenantId)).facts["ground"];
  return { stores, key, work, facts };
}

const guid = (generation: string) => version(generation).reference;

test("a late rule is not written once the loop GUID that it would accept was replaced", async () => {
  const { stores, work } = await standing({ loopGuid: guid("two"), otherLoopGuid: guid("three") });
  let words: string[] = [];
  const write = async ({ loopGuid, otherLoopGuid }: Pick<Ground, "loopGuid" | "otherLoopGuid">) => {
    words = [loopGuid.version, ...(otherLoopGuid ? [otherLoopGuid.version] : [])];
    return done;
  };
  const rule: Resource<Pick<Ground, "loopGuid" | "otherLoopGuid">, string[]> = {
    kind: "approvalRule",
    observe: async () => present(words),
    diff: () => (words.includes("two") ? [] : [{ path: "loopGuid", from: null, to: null }]),
    create: write,
    update: write,
    remove: async () => done,
  };
  const nowhere = {} as Azure & Certificates;
  const { ensureResource } = createResourceActivities({ resources: { rule }, stores, azure: nowhere, certificates: nowhere });
  const ensure = (desired: unknown) => ensureResource({ work, step: "rule", kind: "rule", desired });
  await expect(ensure({ loopGuid: guid("two") })).rejects.toMatchObject({ code: "LoopGuidOutdated" });
  await expect(ensure({ loopGuid: guid("one"), otherLoopGuid: guid("two") })).rejects.toThrow();
  expect(words).toEqual([]);
  await ensure({ loopGuid: guid("three"), otherLoopGuid: guid("two") });
  expect(words).toEqual(["three", "two"]);
});

test("a late drop of the old loop GUID leaves alone what the next rotation has rules accept", async () => {
  const { stores, key, work, facts } = await standing({ loopGuid: guid("two"), otherLoopGuid: guid("three") });
  await stores.credentials.change(key, () => ({
    generation: 2,
    current: version("two"),
    rotation: { operationId: "next", generation: 3 },
  }));
  const world = { stores, clock: systemClock } as unknown as RotationWorld;
  const activities = createLoopGuidActivities(world);
  await activities.dropLoopGuid({ work, current: guid("two") });
  expect(await facts()).toEqual({ loopGuid: guid("two"), otherLoopGuid: guid("three") });
});
