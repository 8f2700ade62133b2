/** What stands beside the gateways: a machine for KeyManager, and the WebClient opened to the internet. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

interface ArmResource {
  id: string;
  name: string;
  type: string;
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

const settled = async (tenant: Customer, first: Operation): Promise<void> => {
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
  expect(again.result).toEqual(first.result);
};

function named(resources: ArmResource[], name: string): ArmResource {
  const found = resources.find((one) => one.name === name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
}
const idOf = (reference: unknown): string => (reference as { id: string }).id.toLowerCase();
const ours = "198.51.100.7";
const stranger = "203.0.113.200";

/** Whether TCP gets in from there, past every group and the machine's firewall. */
const reached = (address: string | undefined, port: number, source: string): boolean =>
  platform.clouds.platform.peers.gatewayAt?.(address ?? "", port, source) !== undefined;

describe("KeyManager and the WebClient, opened, beside two gateways in a region without zones", () => {
  const tenant = customer("contoso", "northridge", {
    regions: [{ name: "germanynorth", machines: 2 }],
    services: { smtp: {}, https: {} },
    keyManager: { services: { keyManager: { sources: ["198.51.100.0/24"] } } },
  });
  let operation: Operation;
  beforeAll(async () => {
    operation = await platform.onboard(tenant);
  });

  test("KeyManager is a machine of the subnet, in neither the gateways' set nor behind their load balancer", async () => {
    expect(operation.error).toBeUndefined();
    const of = await azureOf(tenant);
    const names = of("Microsoft.Compute/virtualMachines").map(({ name }) => name);
    expect(names.sort()).toEqual(["gateway-1", "gateway-2", "keymanager"]);
    const set = named(of("Microsoft.Compute/availabilitySets"), "gateway-set");
    const inSet = (set.properties["virtualMachines"] as object[]).map((one) => idOf(one).split("/").at(-1));
    expect(new Set(inSet)).toEqual(new Set(["gateway-1", "gateway-2"]));
    const addressesOf = (name: string) =>
      (
        named(of("Microsoft.Network/networkInterfaces"), name).properties["ipConfigurations"] as {
          properties: Record<string, unknown>;
        }[]
      ).map(({ properties }) => properties);
    const [gateway] = addressesOf("gateway-1-interface");
    const [keyManager] = addressesOf("keymanager-interface");
    expect(idOf(keyManager?.["subnet"])).toBe(idOf(gateway?.["subnet"]));
    expect(gateway?.["loadBalancerBackendAddressPools"]).toHaveLength(1);
    expect(keyManager?.["loadBalancerBackendAddressPools"] ?? []).toEqual([]);
  });

  test("its port is open to whom the spec names, and nothing else of it", async () => {
    const of = await azureOf(tenant);
    const addresses = of("Microsoft.Network/publicIPAddresses");
    const addressOf = (name: string) => addresses.find((one) => one.name === name)?.properties["ipAddress"] as string | undefined;
    const keyManager = addressOf("keymanager-address");
    expect(reached(keyManager, 8080, ours)).toBe(true);
    expect(reached(keyManager, 8080, stranger)).toBe(false);
    for (const port of [25, 443, 3389]) expect(reached(keyManager, port, ours)).toBe(false);
    expect(reached(addressOf("gateway-1-address"), 8080, ours)).toBe(false);
    expect(reached(addressOf("gateway-1-address"), 25, stranger)).toBe(true);
  });

  test("the WebClient is opened in both groups, in Windows and by the load balancer", async () => {
    const of = await azureOf(tenant);
    const rulesOf = (name: string) =>
      (named(of("Microsoft.Network/networkSecurityGroups"), name).properties["securityRules"] as { name: string }[]).map(
        (rule) => rule.name,
      );
    expect(rulesOf("gateway-security").sort()).toEqual(["HTTPS", "SMTP"]);
    expect(rulesOf("gateways-security").sort()).toEqual(["HTTPS", "KeyManager", "SMTP"]);
    expect(rulesOf("keymanager-security")).toEqual(["KeyManager"]);
    const balancer = named(of("Microsoft.Network/loadBalancers"), "gateway-balancer");
    const ports = (balancer.properties["loadBalancingRules"] as { properties: { frontendPort: number } }[]).map(
      ({ properties }) => properties.frontendPort,
    );
    expect(new Set(ports)).toEqual(new Set([25, 443]));
    const [gateway] = of("Microsoft.Network/publicIPAddresses").filter(({ name }) => name === "gateway-1-address");
    expect(reached(gateway?.properties["ipAddress"] as string, 443, stranger)).toBe(true);
  });

  test("its identity may read nothing in the vault, and the fleet's watch is over gateways", async () => {
    const of = await azureOf(tenant);
    const identity = of("Microsoft.ManagedIdentity/userAssignedIdentities").find(({ name }) => name === "keymanager-identity");
    const { roleAssignments } = (await platform.clouds.state("arm")) as { roleAssignments: { principalId: string }[] };
    expect(identity).toBeDefined();
    expect(roleAssignments.filter(({ principalId }) => principalId === identity?.properties["principalId"])).toEqual([]);
    const { value } = (await platform.northwind.listGateways({})).body;
    expect(value.filter(({ tenantId }) => tenantId === tenant.tenantId)).toHaveLength(2);
  });

  test("asked again, nothing is written, and a plan finds nothing to do", async () => {
    await settled(tenant, operation);
    const { body } = await platform.northwind.planOnboarding({ tenantId: tenant.tenantId });
    expect(body.resources.filter(({ action }) => action !== "none")).toEqual([]);
    expect(body.resources.map(({ name }) => name)).toContain("KeyManager VM");
  });
});

describe("KeyManager for its own network only", () => {
  const tenant = customer("contoso", "lamna", { keyManager: { size: "Standard_D8as_v5" } });

  test("it has no public address, the size of the spec, and the plan names its steps before it is built", async () => {
    await platform.organize(tenant);
    await platform.register(tenant);
    const planned = (await platform.northwind.planOnboarding({ tenantId: tenant.tenantId })).body;
    expect(planned.resources.flatMap(({ name, action }) => (/keymanager/i.test(name) ? [[name, action]] : []))).toEqual([
      ["KeyManager's own identity", "create"],
      ["KeyManager's network security group", "create"],
      ["KeyManager's network interface", "create"],
      ["KeyManager VM", "create"],
      ["Firewall in KeyManager's VM", "create"],
    ]);
    const operation = await platform.onboard(tenant);
    expect(operation.error).toBeUndefined();
    const of = await azureOf(tenant);
    expect(of("Microsoft.Network/publicIPAddresses").map(({ name }) => name)).toEqual(["gateway-1-address"]);
    expect(of("Microsoft.Network/networkSecurityGroups").map(({ name }) => name)).not.toContain("gateways-security");
    const machine = of("Microsoft.Compute/virtualMachines").find(({ name }) => name === "keymanager");
    expect(machine?.properties["hardwareProfile"]).toEqual({ vmSize: "Standard_D8as_v5" });
    await settled(tenant, operation);
  });
});

test("opened both on its own machine and on the gateways, the spec is refused", () => {
  const { body } = customer("contoso");
  const gateway = { ...body.gateway, services: { keyManager: {} }, keyManager: {} };
  expect(tenantSpecSchema.safeParse({ ...body, gateway }).error?.issues).toEqual([
    expect.objectContaining({ path: ["gateway", "services", "keyManager"] }),
  ]);
});

everyBodyFits(() => platform.record());
