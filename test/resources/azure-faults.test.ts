/** What a gateway's Azure resources do when ARM is busy, slow, cut off, or the answer to a write is lost. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Azure, createAzure } from "../../shared/azure/client.ts";
import type { Place } from "../../shared/azure/place.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { networkSecurityGroup } from "../../shared/resources/network-security-group.ts";
import type { Begun, Done } from "../../shared/resources/resource.ts";
import { resourceGroup } from "../../shared/resources/resource-group.ts";
import { sqlServer } from "../../shared/resources/sql-server.ts";
import { servicesSchema } from "../../shared/tenants/spec.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const entraTenantId = "c0ffee00-0000-4000-8000-000000000001";
const subscriptionId = "c0ffee00-0000-4000-8000-0000000000a1";
const owner = { partnerId: "northwind", tenantId: "contoso" };
const place: Place = { owner, entraTenantId, subscriptionId, resourceGroup: "gatehouse-contoso", region: "westeurope" };
const services = servicesSchema.parse({ https: {} });
const named = (name: string) => ({ ...place, name, services });

let clouds: TestClouds;
let azure: Azure;
/** The clouds' own clock: work takes its modelled time, and tests let that pass. */
let passedInMilliseconds = 0;
const pass = (seconds: number): void => void (passedInMilliseconds += seconds * 1000);

beforeAll(async () => {
  clouds = await startClouds({ tempo: 1, now: () => Date.now() + passedInMilliseconds });
  await clouds.organize({ tenantId: entraTenantId, domains: ["contoso.example"], subscriptionId });
  azure = createAzure({
    environment: clouds.environment,
    credentials: createCredentials(clouds.environment, clouds.application),
  });
  await finished(await resourceGroup({ azure }).create(place));
});
afterAll(() => clouds?.stop());

const begun = (written: Done | Begun): Begun => {
  if (written.state !== "begun") throw new Error("the write ended at once");
  return written;
};

async function finished(written: Done | Begun): Promise<void> {
  for (let tick = 0; written.state === "begun" && tick < 50; tick++) {
    const polled = await azure.pollOperation({ entraTenantId, operationUrl: written.operationUrl });
    if (polled.status === "succeeded") return;
    if (polled.status === "failed") throw new Error(polled.error.code);
    pass(polled.retryAfterInSeconds);
  }
}

test("a write is begun with one request, and each look at it is one request", async () => {
  const resource = networkSecurityGroup({ azure });
  const before = (await clouds.requests("arm")).length;
  const { operationUrl, retryAfterInSeconds } = begun(await resource.create(named("one")));
  expect(retryAfterInSeconds).toBeGreaterThan(0);
  expect(await azure.pollOperation({ entraTenantId, operationUrl })).toEqual({
    status: "running",
    retryAfterInSeconds: expect.any(Number),
  });
  expect((await clouds.requests("arm")).slice(before).map(({ method }) => method)).toEqual(["PUT", "GET"]);

  // Half-written is neither there nor not there, and a second write waits for the first.
  expect(await resource.observe(named("one"))).toMatchObject({ state: "unknown", reason: { code: "OperationUnderway" } });
  await expect(resource.create(named("one"))).rejects.toMatchObject({ code: "AzureBusy", transient: true });

  await finished({ state: "begun", operationUrl, retryAfterInSeconds });
  const observed = await resource.observe(named("one"));
  expect(observed.state === "present" && resource.diff(named("one"), observed.actual)).toEqual([]);
});

test("a throttled read is unknown, a throttled write says when to come back, and nobody sleeps meanwhile", async () => {
  const resource = networkSecurityGroup({ azure });
  await clouds.fault("arm", { kind: "throttle", retryAfterInSeconds: 120 }, { path: "networkSecurityGroups/two" }, 2);
  expect(await resource.observe(named("two"))).toMatchObject({ state: "unknown" });
  await expect(resource.create(named("two"))).rejects.toMatchObject({
    code: "AzureBusy",
    transient: true,
    retryAfterInSeconds: 120,
  });
  expect(await resource.observe(named("two"))).toEqual({ state: "absent" });
});

test("a broken connection is tried once more at once, a cloud that is down is for later", async () => {
  const resource = networkSecurityGroup({ azure });
  await clouds.fault("arm", "cut-before-effect", { method: "PUT", path: "networkSecurityGroups/four" });
  await finished(await resource.create(named("four")));
  await clouds.fault("arm", 503, { method: "GET", path: "networkSecurityGroups/four" });
  expect(await resource.observe(named("four"))).toMatchObject({ state: "unknown" });
  await clouds.fault("arm", "cut-before-effect", { method: "DELETE", path: "networkSecurityGroups/four" }, 2);
  await expect(resource.remove(named("four"))).rejects.toMatchObject({ code: "AzureUnavailable", transient: true });
  await finished(await resource.remove(named("four")));
  expect(await resource.observe(named("four"))).toEqual({ state: "absent" });
});

test("a look at an operation that can't be answered is not the operation's failure", async () => {
  const resource = networkSecurityGroup({ azure });
  const written = begun(await resource.create(named("five")));
  await clouds.fault("arm", 503, { path: "/operations/" });
  await expect(azure.pollOperation({ entraTenantId, operationUrl: written.operationUrl })).rejects.toMatchObject({
    transient: true,
  });
  await finished(written);
});

test("an operation that ARM has forgotten has ended: the resource tells how", async () => {
  const { operationUrl } = begun(await networkSecurityGroup({ azure }).create(named("six")));
  const forgotten = operationUrl.replace(/[0-9a-f-]{36}(?=\?)/, "00000000-0000-4000-8000-000000000000");
  expect(forgotten).not.toBe(operationUrl);
  expect(await azure.pollOperation({ entraTenantId, operationUrl: forgotten })).toEqual({ status: "succeeded" });
});

test("what an older SDK's own first look meets is not the write's answer", async () => {
  const administrator = { entraGroupId: "5a1b0000-0000-4000-8000-000000000001", name: "Gateway administrators" };
  const desired = { ...place, name: "contoso-faults-sql", administrator };
  await clouds.fault("arm", 503, { path: "/operations/" });
  await finished(begun(await sqlServer({ azure }).create(desired)));
  expect(await sqlServer({ azure }).observe(desired)).toMatchObject({ state: "present" });
});
