/** Gateways of more than one machine: two behind a load balancer, two regions, and a region that has no zones. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

interface ArmResource {
  id: string;
  name: string;
  type: string;
  location: string;
  zones?: string[];
  properties: Record<string, unknown>;
}

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

async function azureOf({ spec }: Customer): Promise<(type: string) => ArmResource[]> {
  const { resources } = (await platform.clouds.state("arm")) as { resources: ArmResource[] };
  const mine = resources.filter(({ id }) => id.toLowerCase().startsWith(`/subscriptions/${spec.azure.subscriptionId}/`));
  return (type) => mine.filter((one) => one.type === type);
}

/** Asked a second time, nothing is written anywhere, and the answer is the same. */
async function settled(tenant: Customer, first: Operation): Promise<void> {
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
  expect(again.result).toEqual(first.result);
}

const addressesOf = (of: (type: string) => ArmResource[], label: RegExp): string[] =>
  of("Microsoft.Network/publicIPAddresses")
    .toSorted((one, other) => one.name.localeCompare(other.name))
    .filter(({ properties }) => label.test((properties["dnsSettings"] as { domainNameLabel: string }).domainNameLabel))
    .map(({ properties }) => properties["ipAddress"] as string);

describe("two machines in one region", () => {
  const tenant = customer("contoso", "adatum", { regions: [{ name: "westeurope", machines: 2 }] });
  let operation: Operation;
  beforeAll(async () => {
    operation = await platform.onboard(tenant);
  });

  test("mail goes to the load balancer's name and leaves from the machines' own addresses", async () => {
    expect(operation.error).toBeUndefined();
    const of = await azureOf(tenant);
    const balancer = of("Microsoft.Network/publicIPAddresses").find(({ name }) => name === "gateway-balancer-address");
    const { fqdn } = (balancer?.properties["dnsSettings"] ?? {}) as { fqdn?: string };
    const egressIps = addressesOf(of, /(?<!-lb)$/);
    expect(egressIps).toHaveLength(2);
    expect(operation.result).toMatchObject({ stage: "pilot", smartHosts: [fqdn], egressIps });
    const { addresses } = await platform.estate(tenant);
    expect(addresses).toMatchObject({ smartHosts: [fqdn], inboundConnector: egressIps, connectionFilter: egressIps });
  });

  test("they stand in different zones, each with the loop header, and both are watched", async () => {
    const of = await azureOf(tenant);
    expect(Object.fromEntries(of("Microsoft.Compute/virtualMachines").map(({ name, zones }) => [name, zones]))).toEqual({
      "gateway-1": ["1"],
      "gateway-2": ["2"],
    });
    expect(of("Microsoft.Compute/availabilitySets")).toEqual([]);
    const { value } = (await platform.northwind.listGateways({})).body;
    expect(value.filter(({ tenantId }) => tenantId === tenant.tenantId)).toHaveLength(2);
  });

  test("asked again, nothing is written", () => settled(tenant, operation));
});

describe("two regions", () => {
  const tenant = customer("contoso", "proseware", { regions: [{ name: "westeurope" }, { name: "northeurope" }] });
  let operation: Operation;
  beforeAll(async () => {
    operation = await platform.onboard(tenant);
  });

  test("each has its own group, network and gateway; one loop GUID is in both", async () => {
    expect(operation.error).toBeUndefined();
    const of = await azureOf(tenant);
    expect(
      of("Microsoft.Compute/virtualMachines")
        .map(({ location }) => location)
        .sort(),
    ).toEqual(["northeurope", "westeurope"]);
    expect(of("Microsoft.Network/virtualNetworks")).toHaveLength(2);
    expect(of("Microsoft.Network/loadBalancers")).toEqual([]);
    expect(of("Microsoft.KeyVault/vaults")).toHaveLength(1);
    expect(operation.result?.["smartHosts"]).toHaveLength(2);
    const smartHosts = operation.result?.["smartHosts"] as string[];
    expect((await platform.estate(tenant)).addresses.smartHosts).toEqual(smartHosts.toSorted());
  });

  test("asked again, nothing is written", () => settled(tenant, operation));
});

describe("a region without zones", () => {
  const tenant = customer("contoso", "woodgrove", { regions: [{ name: "germanynorth", machines: 2 }] });

  test("its machines stand in an availability set", async () => {
    const operation = await platform.onboard(tenant);
    expect(operation.error).toBeUndefined();
    const of = await azureOf(tenant);
    const [set] = of("Microsoft.Compute/availabilitySets");
    expect(set?.properties["virtualMachines"]).toHaveLength(2);
    await settled(tenant, operation);
  });
});

describe("where Azure has no room", () => {
  const fail = (resource: string, failure: string, times: number) =>
    fetch(`${platform.clouds.control}/azure/failures`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ type: "Microsoft.Compute/virtualMachines", resource, failure, times }),
    }).then(({ status }) => expect(status).toBeLessThan(300));

  test("in one zone, the machine is made in the next", async () => {
    const tenant = customer("contoso", "tailwind");
    const { tenantId } = tenant;
    const [region] = namesOf({ partnerId: "northwind", tenantId, regions: tenant.spec.gateway.regions }).regions;
    await platform.organize(tenant);
    await fail(`/${region?.resourceGroup}/`, "ZonalAllocationFailed", 1);
    const operation = await platform.onboard(tenant);
    expect(operation.error).toBeUndefined();
    const of = await azureOf(tenant);
    expect(of("Microsoft.Compute/virtualMachines").map(({ zones }) => zones)).toEqual([["2"]]);
    await settled(tenant, operation);
  });

  test("anywhere, the operation says so; asked again when there is, it completes", async () => {
    const tenant = customer("contoso", "wingtip");
    const { tenantId } = tenant;
    const [region] = namesOf({ partnerId: "northwind", tenantId, regions: tenant.spec.gateway.regions }).regions;
    await platform.organize(tenant);
    await fail(`/${region?.resourceGroup}/`, "AllocationFailed", 9);
    const failed = await platform.onboard(tenant);
    expect(failed).toMatchObject({ status: "Failed", error: { code: "AllocationFailed" } });
    const again = await platform.untilEnded(await platform.start(tenant));
    expect(again.error).toBeUndefined();
    expect((await azureOf(tenant))("Microsoft.Compute/virtualMachines")).toHaveLength(1);
  });
});

everyBodyFits(() => platform.record());
