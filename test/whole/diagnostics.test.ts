/** What machines say while they start, in a storage account of the tenant: its copies by the spec, in each region, closed to the world. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

interface ArmResource {
  id: string;
  name: string;
  type: string;
  location: string;
  sku?: { name: string };
  properties: Record<string, unknown>;
}

const tenant = customer("contoso", "adventure", {
  regions: [{ name: "westeurope" }, { name: "northeurope" }],
  diagnostics: { replication: "GRS" },
  keyManager: {},
});
let platform: OnboardingPlatform;
let operation: Operation;
beforeAll(async () => {
  platform = await startOnboarding();
  operation = await platform.onboard(tenant);
});
afterAll(() => platform.stop());

const azure = async (type: string): Promise<ArmResource[]> => {
  const { resources } = (await platform.clouds.state("arm")) as { resources: ArmResource[] };
  return resources.filter((one) => one.id.includes(tenant.spec.azure.subscriptionId) && one.type === type);
};

test("each machine writes to its own region's account, which is geo-redundant and never public", async () => {
  expect(operation.error).toBeUndefined();
  const accounts = await azure("Microsoft.Storage/storageAccounts");
  expect(accounts.map(({ location, sku }) => `${location} ${sku?.name}`).toSorted()).toEqual([
    "northeurope Standard_GRS",
    "westeurope Standard_GRS",
  ]);
  for (const { properties } of accounts)
    expect(properties).toMatchObject({
      minimumTlsVersion: "TLS1_2",
      allowBlobPublicAccess: false,
      supportsHttpsTrafficOnly: true,
    });
  const urlIn = (region: string) =>
    (accounts.find(({ location }) => location === region)?.properties["primaryEndpoints"] as { blob: string } | undefined)?.blob;
  const machines = await azure("Microsoft.Compute/virtualMachines");
  expect(machines).toHaveLength(3);
  for (const { location, properties } of machines)
    expect(properties["diagnosticsProfile"]).toEqual({ bootDiagnostics: { enabled: true, storageUri: urlIn(location) } });
});

test("asked again, nothing is written; other copies are an update in place, and no account at all is refused", async () => {
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
  const { tenantId, body } = tenant;
  const { diagnostics: _, ...without } = body.gateway;
  await expect(platform.northwind.putTenant({ tenantId, body: { ...body, gateway: without } })).rejects.toMatchObject({
    code: "TenantInUse",
    message: expect.stringContaining("diagnostics can't be moved back yet"),
  });
  const local = { ...body, gateway: { ...body.gateway, diagnostics: { replication: "LRS" as const } } };
  await platform.northwind.putTenant({ tenantId, body: local });
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  expect(plan.resources.filter(({ action }) => action !== "none").map(({ kind, action }) => `${kind} ${action}`)).toEqual([
    "diagnosticsAccount update",
    "diagnosticsAccount update",
  ]);
});

everyBodyFits(() => platform.record(), ["microsoft.storage/storageaccounts@2026-09-01"]);
