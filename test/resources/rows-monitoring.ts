/** What the conformance suite needs to know about what Azure Monitor has of a gateway. */
import { virtualMachineId } from "../../shared/azure/place.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { type Json, owner, place, type World } from "./ground.ts";
import { another, changing, failedWrite, foreignTag, foreignTags, groupPath, inGroup, machine } from "./rows-azure.ts";
import type { RowOf } from "./rows.ts";

type Desired<Kind extends keyof Resources> = DesiredOf<Resources[Kind]>;

/** The customer's own, made by hand. */
export async function workspaceNamed({ arm, ground }: World, name: string, location = place.region): Promise<string> {
  await ground();
  const id = inGroup("Microsoft.OperationalInsights/workspaces")({ ...place, name });
  await arm.put(id, { location, properties: { sku: { name: "PerGB2018" } } });
  return id;
}

const rulePath = inGroup("Microsoft.Insights/dataCollectionRules");
const ruleNamed = async (one: World, name: string): Promise<Desired<"dataCollectionRule">> => ({
  ...place,
  name,
  workspaceId: await workspaceNamed(one, "contoso-logs"),
});

const inSources = (properties: Json): Json => properties["dataSources"] as Json;
const onlySource = (properties: Json, kind: string): Json => (inSources(properties)[kind] as Json[])[0] ?? {};
/** One of the rule's sources, changed by hand. */
const sourceChange = (kind: string, changed: Json) =>
  changing<Desired<"dataCollectionRule">>(rulePath, (properties) => ({
    dataSources: { ...inSources(properties), [kind]: [{ ...onlySource(properties, kind), ...changed }] },
  }));

const dataCollectionRule: RowOf<"dataCollectionRule"> = {
  prepare: (one) => ruleNamed(one, "conformance-collection"),
  drifts: [
    { paths: ["events"], change: sourceChange("windowsEventLogs", { xPathQueries: ["Security!*"] }) },
    { paths: ["counters"], change: sourceChange("performanceCounters", { counterSpecifiers: ["\\Memory\\Available Bytes"] }) },
    { paths: ["samplingInSeconds"], change: sourceChange("performanceCounters", { samplingFrequencyInSeconds: 10 }) },
    {
      paths: ["flows"],
      change: changing(rulePath, (properties) => ({ dataFlows: (properties["dataFlows"] as Json[]).slice(1) })),
    },
    {
      paths: ["workspaceIds"],
      async change(one, desired) {
        const workspaceResourceId = await workspaceNamed(one, "other-logs");
        await changing<typeof desired>(rulePath, () => ({
          destinations: { logAnalytics: [{ name: "workspace", workspaceResourceId }] },
        }))(one, desired);
      },
    },
    failedWrite("Microsoft.Insights/dataCollectionRules"),
  ],
  fixed: { system: "Azure changes none of a rule" },
  unowned: foreignTag(rulePath),
  stranger: foreignTags("dataCollectionRule", rulePath),
  count: async ({ arm }, desired) =>
    (await arm.namesIn(`${groupPath(desired)}/providers/Microsoft.Insights/dataCollectionRules`)).filter(
      (name) => name === desired.name,
    ).length,
};

/** Agents and associations need a machine that runs; all of them share one. */
async function watched(one: World): Promise<Desired<"gatewayVm">> {
  const desired = await machine(one, "watched", 2);
  await one.ensure("gatewayVm", desired);
  return desired;
}

const agentPath = ({ virtualMachine, ...where }: Desired<"monitorAgent">): string =>
  `${virtualMachineId({ ...where, name: virtualMachine })}/extensions/AzureMonitorWindowsAgent`;

const monitorAgent: RowOf<"monitorAgent"> = {
  async prepare(one) {
    const { name, identityId } = await watched(one);
    return { ...place, virtualMachine: name, identityId };
  },
  drifts: [
    { paths: ["identityId"], change: changing(agentPath, () => ({ settings: {} })) },
    { paths: ["automaticUpgrade"], change: changing(agentPath, () => ({ enableAutomaticUpgrade: false })) },
    {
      paths: ["provisioningState"],
      async change({ clouds }, desired) {
        const stored = clouds.platform.collection<{ body: { properties: Json } }>(
          "arm.microsoft.compute/virtualmachines/extensions",
        );
        const found = stored.get(agentPath(desired).toLowerCase());
        if (found === undefined) throw new Error("the machine has no agent");
        const properties = { ...found.body.properties, provisioningState: "Failed" };
        stored.set(agentPath(desired).toLowerCase(), { ...found, body: { ...found.body, properties } });
      },
    },
  ],
  fixed: { region: another, theirs: "somebody else's agent is taken as it is: see monitoring.test.ts" },
  unowned: foreignTag(agentPath),
  stranger: { notApplicable: "a machine takes one agent, and somebody else's gathers by our rule as well" },
  count: async ({ arm }, desired) => (await arm.namesIn(agentPath(desired).replace(/\/[^/]+$/, ""))).length,
};

const associationPath = ({ machineId, name }: Desired<"dataCollectionAssociation">): string =>
  `${machineId}/providers/Microsoft.Insights/dataCollectionRuleAssociations/${name}`;
const described = (description: string) => changing(associationPath, () => ({ description }));

const dataCollectionAssociation: RowOf<"dataCollectionAssociation"> = {
  async prepare(one) {
    const machineId = virtualMachineId(await watched(one));
    const { id } = (await one.ensure("dataCollectionRule", await ruleNamed(one, "ground-collection"))) as { id: string };
    const { entraTenantId, subscriptionId } = place;
    return { owner, entraTenantId, subscriptionId, name: "gatehouse-contoso", machineId, ruleId: id };
  },
  drifts: [
    {
      paths: ["ruleId"],
      async change(one, desired) {
        const { id } = (await one.ensure("dataCollectionRule", await ruleNamed(one, "another-collection"))) as { id: string };
        await changing(associationPath, () => ({ dataCollectionRuleId: id }))(one, desired);
      },
    },
  ],
  fixed: {},
  unowned: {
    what: "an association with another rule",
    async set(one, desired) {
      const { id } = (await one.ensure("dataCollectionRule", await ruleNamed(one, "their-collection"))) as { id: string };
      await one.arm.put(associationPath({ ...desired, name: "theirs" }), { properties: { dataCollectionRuleId: id } });
    },
    read: ({ arm }, desired) => arm.get(associationPath({ ...desired, name: "theirs" })),
  },
  stranger: {
    what: "without our words in its description",
    meets: "conflict",
    async set(one, desired) {
      await one.ensure("dataCollectionAssociation", desired);
      await described("made by Jane")(one, desired);
    },
    read: ({ arm }, desired) => arm.get(associationPath(desired)),
    unset: ({ arm }, desired) => arm.delete(associationPath(desired)),
  },
  count: async ({ arm }, desired) =>
    arm.get(associationPath(desired)).then(
      () => 1,
      () => 0,
    ),
};

const settingPath = ({ resourceId, name }: Desired<"diagnosticSetting">): string =>
  `${resourceId}/providers/Microsoft.Insights/diagnosticSettings/${name}`;

const diagnosticSetting: RowOf<"diagnosticSetting"> = {
  async prepare(one) {
    const workspaceId = await workspaceNamed(one, "contoso-logs");
    const { id } = (await one.ensure("publicIpAddress", { ...place, name: "watched-address", dnsLabel: "contoso-watched" })) as {
      id: string;
    };
    const { entraTenantId, subscriptionId } = place;
    return { entraTenantId, subscriptionId, name: "gatehouse-contoso", resourceId: id, workspaceId };
  },
  drifts: [
    { paths: ["logs"], change: changing(settingPath, () => ({ logs: [] })) },
    { paths: ["metrics"], change: changing(settingPath, () => ({ metrics: [{ category: "AllMetrics", enabled: false }] })) },
    {
      paths: ["workspaceId"],
      async change(one, desired) {
        const workspaceId = await workspaceNamed(one, "other-logs");
        await changing(settingPath, () => ({ workspaceId }))(one, desired);
      },
    },
  ],
  fixed: {},
  unowned: {
    what: "a setting with another workspace",
    async set(one, desired) {
      const workspaceId = await workspaceNamed(one, "their-logs");
      await one.arm.put(settingPath({ ...desired, name: "theirs" }), {
        properties: { workspaceId, metrics: [{ category: "AllMetrics", enabled: true }] },
      });
    },
    read: ({ arm }, desired) => arm.get(settingPath({ ...desired, name: "theirs" })),
  },
  stranger: { notApplicable: "its name says whose it is" },
  count: async ({ arm }, desired) =>
    arm.get(settingPath(desired)).then(
      () => 1,
      () => 0,
    ),
};

export const monitoringRows = { dataCollectionRule, monitorAgent, dataCollectionAssociation, diagnosticSetting };
