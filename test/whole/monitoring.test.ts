/** What a customer's own workspace gets of its gateways, where the spec names one: and nothing of it where it names none. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { createAzure } from "../../shared/azure/client.ts";
import { ownershipTags } from "../../shared/azure/place.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { monitorAgent } from "../../shared/resources/monitor-agent.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

interface ArmResource {
  id: string;
  type: string;
  location: string;
  properties: Record<string, unknown>;
}

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const monitored = (name: string, gateway: Parameters<typeof customer>[2]): Customer => {
  const tenant = customer("contoso", name, gateway);
  const workspaceId = `/subscriptions/${tenant.spec.azure.subscriptionId}/resourceGroups/operations/providers/Microsoft.OperationalInsights/workspaces/${name}-logs`;
  const body = { ...tenant.body, gateway: { ...tenant.body.gateway, monitoring: { workspaceId } } };
  return { ...tenant, body, spec: tenantSpecSchema.parse(body) };
};

const azure = () => {
  const { environment, application } = platform.clouds;
  return createAzure({ environment, credentials: createCredentials(environment, application) });
};

/** As the customer's own people make it, in a region of their choice. */
const workspaceIn = ({ spec }: Customer, location: string): Promise<void> =>
  platform.asStranger(async () => {
    const { tenantId: entraTenantId, subscriptionId } = spec.azure;
    const found = await azure().read({ entraTenantId, subscriptionId }, async (clients) => {
      const resources = await clients.resources();
      await resources.resourceGroups.createOrUpdate("operations", { location });
      const { endpoint } = platform.clouds.environment.resourceManager;
      const token = await createCredentials(platform.clouds.environment, platform.clouds.application)
        .inTenant(entraTenantId)
        .getToken(`${platform.clouds.environment.resourceManager.audience}/.default`);
      return fetch(`${endpoint}${spec.gateway.monitoring?.workspaceId}?api-version=2023-09-01`, {
        method: "PUT",
        headers: { authorization: `Bearer ${token?.token}`, "content-type": "application/json" },
        body: JSON.stringify({ location, properties: { sku: { name: "PerGB2018" } } }),
      });
    });
    expect(found).toMatchObject({ state: "present", actual: { ok: true } });
  });

async function azureOf({ spec }: Customer): Promise<(type: string) => ArmResource[]> {
  const { resources } = (await platform.clouds.state("arm")) as { resources: ArmResource[] };
  const mine = resources.filter(({ id }) => id.toLowerCase().startsWith(`/subscriptions/${spec.azure.subscriptionId}/`));
  return (type) => mine.filter((one) => one.type === type);
}

describe("two machines behind a load balancer, and a workspace in another region", () => {
  const tenant = monitored("consolidated", { regions: [{ name: "westeurope", machines: 2 }] });
  let operation: Operation;

  test("a workspace that isn't there stops the onboarding before anything is made", async () => {
    await platform.organize(tenant);
    await platform.register(tenant);
    const failed = await platform.untilEnded(await platform.start(tenant));
    expect(failed).toMatchObject({ status: "Failed", error: { code: "WorkspaceMissing" } });
    expect((await azureOf(tenant))("Microsoft.Network/virtualNetworks")).toEqual([]);
  });

  test("both report to it by one rule, and so does the load balancer", async () => {
    await workspaceIn(tenant, "northeurope");
    operation = await platform.untilEnded(await platform.start(tenant));
    expect(operation.error).toBeUndefined();
    const of = await azureOf(tenant);
    const rules = of("Microsoft.Insights/dataCollectionRules");
    expect(rules.map(({ location }) => location)).toEqual(["northeurope"]);
    const agents = of("Microsoft.Compute/virtualMachines/extensions");
    expect(agents.map(({ properties }) => properties["type"])).toEqual(["AzureMonitorWindowsAgent", "AzureMonitorWindowsAgent"]);
    const associations = of("Microsoft.Insights/dataCollectionRuleAssociations");
    expect(associations.map(({ properties }) => properties["dataCollectionRuleId"])).toEqual([rules[0]?.id, rules[0]?.id]);
    const settings = of("Microsoft.Insights/diagnosticSettings");
    expect(settings.map(({ id, properties }) => [id.includes("/loadBalancers/"), properties["workspaceId"]])).toEqual([
      [true, tenant.spec.gateway.monitoring?.workspaceId],
    ]);
  });

  test("asked again, nothing is written, and the plan agrees", async () => {
    const before = await platform.now();
    const again = await platform.untilEnded(await platform.start(tenant));
    expect(again.error).toBeUndefined();
    expect(writes(await platform.record(before))).toEqual([]);
    const { resources } = (await platform.northwind.planOnboarding({ tenantId: tenant.tenantId })).body;
    const kinds = ["dataCollectionRule", "monitorAgent", "dataCollectionAssociation", "diagnosticSetting"];
    const watching = resources.filter(({ kind }) => kinds.includes(kind));
    expect(watching.map(({ kind, action }) => `${kind} ${action}`)).toEqual([
      "dataCollectionRule none",
      "diagnosticSetting none",
      "monitorAgent none",
      "monitorAgent none",
      "dataCollectionAssociation none",
      "dataCollectionAssociation none",
    ]);
  });

  test("an agent that somebody else installed does the work as well, and stays when ours would go", async () => {
    const of = await azureOf(tenant);
    const [machine] = of("Microsoft.Compute/virtualMachines");
    const [, resourceGroup = "", virtualMachine = ""] = /resourceGroups\/([^/]+)\/.*\/([^/]+)$/i.exec(machine?.id ?? "") ?? [];
    const { tenantId: entraTenantId, subscriptionId } = tenant.spec.azure;
    const owner = { partnerId: "northwind", tenantId: tenant.tenantId };
    const place = { owner, entraTenantId, subscriptionId, resourceGroup, region: "westeurope" };
    const agent = monitorAgent({ azure: azure() });
    const desired = { ...place, virtualMachine, identityId: "/identities/another" };
    await platform.asStranger(() =>
      azure().read(place, async (clients) =>
        (await clients.compute()).virtualMachineExtensions.beginUpdateAndWait(
          resourceGroup,
          virtualMachine,
          "AzureMonitorWindowsAgent",
          {
            tags: ownershipTags({ partnerId: "theirs", tenantId: "policy" }),
          },
        ),
      ),
    );
    const before = await platform.now();
    const observed = await agent.observe(desired);
    if (observed.state !== "present") throw new Error(`the agent is ${observed.state}`);
    expect(agent.diff(desired, observed.actual)).toEqual([]);
    expect(await agent.remove(desired)).toEqual({ state: "done" });
    expect(writes(await platform.record(before))).toEqual([]);
  });
});

everyBodyFits(
  () => platform.record(),
  [
    "microsoft.insights/datacollectionrules@2024-03-11",
    "microsoft.insights/datacollectionruleassociations@2024-03-11",
    // The customer's own.
    "microsoft.operationalinsights/workspaces@2023-09-01",
  ],
);
