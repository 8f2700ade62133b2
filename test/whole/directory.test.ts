/** A tenant's directory through the whole app: refreshed by the timer and on request, held when too many are gone, said in a condition. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { directoryHand } from "../../infra/local/clouds/graph/delta.ts";
import { permitDirectory } from "../support/directory.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const plain = customer("contoso", "relecloud");
const tenant = { ...plain, body: { ...plain.body, directory: { depth: 3 } } };
const { tenantId } = tenant;
const organization = tenant.spec.microsoft365.tenantId;
const stands = async () => (await platform.northwind.getDirectory({ tenantId })).body;
const condition = async () =>
  (await platform.northwind.getTenant({ tenantId })).body.conditions.find(({ type }) => type === "DirectoryFresh");
async function untilSaid(reason: string): Promise<void> {
  for (let looks = 0; (await condition())?.reason !== reason; looks++) {
    if (looks > 600) throw new Error(`never said ${reason}, but ${JSON.stringify(await condition())}`);
    await pause(100);
  }
}

test("nobody's directory is read before a pilot", async () => {
  await platform.organize(tenant);
  await platform.register(tenant);
  await expect(platform.northwind.startDirectoryRefresh({ tenantId, body: {} })).rejects.toMatchObject({
    status: 409,
    code: "DirectoryNotServed",
  });
  expect((await platform.untilEnded(await platform.start(tenant))).error).toBeUndefined();
  expect(await stands()).toEqual({ state: "none" });
});

test("without the permissions it says so; with them the timer reads it, and the document stands", async () => {
  await platform.fire("refreshDirectories");
  await untilSaid("ConsentRequired");
  permitDirectory(platform.clouds, organization);
  const hand = directoryHand(platform.clouds.platform, organization);
  for (let number = 0; number < 30; number++) hand.put("users", `u${number}`, { displayName: `Person ${number}` });
  hand.put("groups", "g1", { displayName: "All" });
  hand.join("g1", "u1", "user");
  await platform.northwind.startDirectoryRefresh({ tenantId, body: {} });
  await untilSaid("Published");
  expect(await stands()).toMatchObject({ state: "published", published: { users: 30, groups: 1 } });
});

test("a mass removal is held until somebody accepts it", async () => {
  const hand = directoryHand(platform.clouds.platform, organization);
  for (let number = 0; number < 15; number++) hand.remove("users", `u${number}`);
  await platform.northwind.startDirectoryRefresh({ tenantId, body: {} });
  await untilSaid("MassRemoval");
  expect(await stands()).toMatchObject({ state: "held", published: { users: 30 }, held: { lost: 15, of: 31 } });
  await platform.northwind.startDirectoryRefresh({ tenantId, body: { lossAccepted: true } });
  await untilSaid("Published");
  expect(await stands()).toMatchObject({ state: "published", published: { users: 15 } });
});
