/** The fleet's client against the simulated Resource Graph over HTTPS: pages, the quota, refusals; on a clock that moves by its own waits. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createAzure } from "../../shared/azure/client.ts";
import { createFleet, type Fleet } from "../../shared/azure/fleet.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { type TestClouds, startClouds } from "../support/clouds.ts";
import { machineId, placeMachines } from "../support/fleet.ts";

const clock = { now: Date.now() };
const pauses: number[] = [];
const pause = (milliseconds: number): Promise<void> => {
  pauses.push(milliseconds);
  clock.now += milliseconds;
  return Promise.resolve();
};

let clouds: TestClouds;
let fleet: Fleet;
let tenant: { entraTenantId: string; subscriptionId: string };
beforeAll(async () => {
  clouds = await startClouds({ tempo: 1, now: () => clock.now });
  const credentials = createCredentials(clouds.environment, clouds.application);
  const azure = createAzure({ environment: clouds.environment, credentials });
  fleet = createFleet({ environment: clouds.environment, credentials, azure, pause });
});
afterAll(() => clouds.stop());
beforeEach(async () => {
  tenant = { entraTenantId: randomUUID(), subscriptionId: randomUUID() };
  await clouds.organize({ tenantId: tenant.entraTenantId, domains: [], subscriptionId: tenant.subscriptionId });
  placeMachines(clouds.platform, { subscriptionId: tenant.subscriptionId, count: 2 });
  pauses.length = 0;
});

const list = (which: "everything" | "exceptions" = "everything") =>
  fleet.list(tenant.entraTenantId, [tenant.subscriptionId, tenant.subscriptionId.toUpperCase()], which);
const statuses = async (): Promise<number[]> =>
  (await clouds.requests("arm"))
    .filter(({ url, tenant: asked }) => url.includes("Microsoft.ResourceGraph") && asked === tenant.entraTenantId)
    .map(({ status }) => status);

test("finds machines with power and availability, by id in lower case", async () => {
  clouds.platform.peers.actOnMachine?.(machineId(tenant.subscriptionId, 1), "stop");
  expect(await list()).toEqual(
    new Map([
      [machineId(tenant.subscriptionId, 0).toLowerCase(), { power: "PowerState/running", availability: "Available" }],
      [machineId(tenant.subscriptionId, 1).toLowerCase(), { power: "PowerState/deallocated", availability: "Unavailable" }],
    ]),
  );
});

test("of exceptions only those that don't run, or that Azure says are not quite available", async () => {
  expect(await list("exceptions")).toEqual(new Map());
  const [stopped, failed] = [machineId(tenant.subscriptionId, 0), machineId(tenant.subscriptionId, 1)];
  clouds.platform.peers.actOnMachine?.(stopped, "stop");
  clouds.platform.peers.actOnMachine?.(failed, "fail");
  expect(await list("exceptions")).toEqual(
    new Map([
      [stopped.toLowerCase(), { power: "PowerState/deallocated", availability: "Unavailable" }],
      [failed.toLowerCase(), { power: "PowerState/running", availability: "Unavailable" }],
    ]),
  );
});

test("waits before the quota is exceeded, for as long as Resource Graph says", async () => {
  for (let asked = 0; asked < 16; asked += 1) await list();
  expect(await statuses()).toEqual(Array.from({ length: 16 }, () => 200));
  expect(pauses).toEqual([5000]);
});

test("what others took of the quota is waited for, too, and asked again", async () => {
  await clouds.fault("arm", { kind: "throttle", retryAfterInSeconds: 3 }, { path: "Microsoft.ResourceGraph" }, 2);
  expect((await list()).size).toBe(2);
  expect(pauses).toEqual([3000, 3000]);
  expect(await statuses()).toEqual([429, 429, 200]);
});

test("is given up when the quota does not come back", async () => {
  await clouds.fault("arm", { kind: "throttle", retryAfterInSeconds: 3 }, { path: "Microsoft.ResourceGraph" }, 4);
  await expect(list()).rejects.toMatchObject({ code: "AzureBusy", transient: true });
});

test("a page that fails is not half an answer", async () => {
  await clouds.fault("arm", "5xx", { path: "Microsoft.ResourceGraph" });
  await expect(list()).rejects.toMatchObject({ code: "AzureUnavailable", transient: true });
});

test("a directory in which we have no access says so", async () => {
  const [tenantId, subscriptionId] = [randomUUID(), randomUUID()];
  await clouds.organize({ tenantId, domains: [], subscriptionId, azureAccess: false });
  await expect(fleet.list(tenantId, [subscriptionId], "everything")).rejects.toMatchObject({ code: "AzureAccessMissing" });
});
