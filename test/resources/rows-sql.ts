/** What the conformance suite needs to know about a tenant's Azure SQL. */
import { ownershipTags, type Place } from "../../shared/azure/place.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { somebodyElse } from "./conformance.ts";
import { type Json, owner, place, type World } from "./ground.ts";
import type { RowOf } from "./rows.ts";

type Server = DesiredOf<Resources["sqlServer"]>;
type Database = DesiredOf<Resources["sqlDatabase"]>;
type Rules = DesiredOf<Resources["sqlFirewallRules"]>;

const serversIn = ({ subscriptionId, resourceGroup }: Place): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Sql/servers`;
const serverPath = (desired: Place & { name: string }): string => `${serversIn(desired)}/${desired.name}`;
const databasePath = (desired: Database): string => `${serversIn(desired)}/${desired.server}/databases/${desired.name}`;
const rulesPath = (desired: Rules): string => `${serversIn(desired)}/${desired.server}/firewallRules`;

const administrator = { entraGroupId: "5a1b0000-0000-4000-8000-000000000001", name: "Gateway administrators" };
const server = (name: string): Server => ({ ...place, name, administrator });

/** The last write of somebody did not end well, on Azure's side. */
const failed =
  <Desired>(type: string, property: string, pathOf: (desired: Desired) => string) =>
  async ({ clouds }: World, desired: Desired): Promise<void> => {
    const stored = clouds.platform.collection<{ body: { properties: Json } }>(`arm.${type}`);
    const id = pathOf(desired).toLowerCase();
    const found = stored.get(id);
    if (found === undefined) throw new Error(`Azure has no ${id}`);
    const properties = { ...found.body.properties, [property]: "Failed" };
    stored.set(id, { ...found, body: { ...found.body, properties } });
  };

const changing =
  <Desired>(pathOf: (desired: Desired) => string, changed: Json, more: Json = {}) =>
  ({ arm }: World, desired: Desired): Promise<void> =>
    arm.change(pathOf(desired), ({ properties, ...rest }) => ({
      ...rest,
      ...more,
      properties: { ...(properties as Json), ...changed },
    }));

const stranger = <Desired extends Place>(kind: "sqlServer" | "sqlDatabase", pathOf: (desired: Desired) => string) => ({
  what: "without our tags",
  meets: "conflict" as const,
  async set({ arm, ensure }: World, desired: Desired): Promise<void> {
    await ensure(kind, desired as never);
    await arm.tag(pathOf(desired), { ...ownershipTags(somebodyElse) });
  },
  read: ({ arm }: World, desired: Desired) => arm.get(pathOf(desired)),
  unset: ({ arm }: World, desired: Desired) => arm.tag(pathOf(desired), ownershipTags(desired.owner)),
});

const entraOnlyOff = ({ arm }: World, desired: Server): Promise<void> =>
  arm.put(`${serverPath(desired)}/azureADOnlyAuthentications/Default`, { properties: { azureADOnlyAuthentication: false } });

const sqlServer: RowOf<"sqlServer"> = {
  prepare: async (one) => (await one.ground(), server("contoso-conformance-sql")),
  drifts: [
    { paths: ["minimalTls"], change: changing(serverPath, { minimalTlsVersion: "1.0" }) },
    { paths: ["publicNetworkAccess"], change: changing(serverPath, { publicNetworkAccess: "Disabled" }) },
    { paths: ["entraOnly"], change: entraOnlyOff },
    {
      paths: ["administrator"],
      change: ({ arm }, desired) =>
        arm.put(`${serverPath(desired)}/administrators/ActiveDirectory`, {
          properties: { administratorType: "ActiveDirectory", login: "Jane", sid: "5a1b0000-0000-4000-8000-000000000002" },
        }),
    },
    {
      paths: ["administrator", "entraOnly"],
      async change(one, desired) {
        await entraOnlyOff(one, desired);
        await one.arm.delete(`${serverPath(desired)}/administrators/ActiveDirectory`);
      },
    },
    { paths: ["provisioningState"], change: failed("microsoft.sql/servers", "state", serverPath) },
  ],
  fixed: { region: (desired) => ({ ...desired, region: "northeurope" }) },
  unowned: {
    what: "a tag, what the server itself may reach",
    async set(one, desired) {
      await one.arm.tag(serverPath(desired), { ...ownershipTags(owner), costCentre: "7" });
      await changing(serverPath, { restrictOutboundNetworkAccess: "Enabled" })(one, desired);
    },
    async read({ arm }, desired) {
      const { tags, properties } = await arm.get(serverPath(desired));
      return { tags, outbound: (properties as Json)["restrictOutboundNetworkAccess"] };
    },
  },
  stranger: stranger("sqlServer", serverPath),
  count: async ({ arm }, desired) => (await arm.namesIn(serversIn(desired))).filter((name) => name === desired.name).length,
};

const sqlDatabase: RowOf<"sqlDatabase"> = {
  async prepare(one) {
    await one.ground();
    await one.ensure("sqlServer", server("contoso-databases-sql"));
    return { ...place, server: "contoso-databases-sql", name: "iqsuite", sku: "S0", backups: "Geo" };
  },
  drifts: [
    { paths: ["sku"], change: changing(databasePath, {}, { sku: { name: "S1", tier: "Standard" } }) },
    { paths: ["maxSizeInGigabytes"], change: changing(databasePath, { maxSizeBytes: 100 * 1024 ** 3 }) },
    {
      paths: ["maxSizeInGigabytes", "sku"],
      change: changing(databasePath, { maxSizeBytes: 2 * 1024 ** 3 }, { sku: { name: "Basic", tier: "Basic" } }),
    },
    { paths: ["zoneRedundant"], change: changing(databasePath, { zoneRedundant: true }) },
    { paths: ["backups"], change: changing(databasePath, { requestedBackupStorageRedundancy: "Local" }) },
    { paths: ["provisioningState"], change: failed("microsoft.sql/servers/databases", "status", databasePath) },
  ],
  fixed: { region: (desired) => ({ ...desired, region: "northeurope" }) },
  unowned: {
    what: "a tag",
    set: ({ arm }, desired) => arm.tag(databasePath(desired), { ...ownershipTags(owner), costCentre: "7" }),
    read: async ({ arm }, desired) => (await arm.get(databasePath(desired)))["tags"],
  },
  stranger: stranger("sqlDatabase", databasePath),
  count: async ({ arm }, desired) =>
    (await arm.namesIn(`${serversIn(desired)}/${desired.server}/databases`)).filter((name) => name === desired.name).length,
};

const rule = (startIpAddress: string, endIpAddress = startIpAddress): Json => ({ properties: { startIpAddress, endIpAddress } });

const sqlFirewallRules: RowOf<"sqlFirewallRules"> = {
  async prepare(one) {
    await one.ground();
    await one.ensure("sqlServer", server("contoso-rules-sql"));
    return { ...place, server: "contoso-rules-sql", addresses: ["203.0.113.7", "203.0.113.8"] };
  },
  drifts: [
    {
      paths: ["rules/everybody"],
      change: ({ arm }, desired) => arm.put(`${rulesPath(desired)}/everybody`, rule("0.0.0.0", "255.255.255.255")),
    },
    {
      paths: ["rules/AllowAllWindowsAzureIps"],
      change: ({ arm }, desired) => arm.put(`${rulesPath(desired)}/AllowAllWindowsAzureIps`, rule("0.0.0.0")),
    },
    {
      paths: ["rules/gateway-203-0-113-7", "rules/gateway-203-0-113-8"],
      async change({ arm }, desired) {
        await arm.put(`${rulesPath(desired)}/gateway-203-0-113-7`, rule("203.0.113.7", "203.0.113.99"));
        await arm.delete(`${rulesPath(desired)}/gateway-203-0-113-8`);
      },
    },
  ],
  fixed: {},
  unowned: { notApplicable: "whoever a rule lets in reaches the databases, so all rules are ours" },
  stranger: {
    what: "on a server without our tags",
    meets: "conflict",
    async set({ arm }, desired) {
      await arm.put(`${rulesPath(desired)}/theirs`, rule("198.51.100.7"));
      await arm.tag(serverPath({ ...place, name: desired.server }), { ...ownershipTags(somebodyElse) });
    },
    read: ({ arm }, desired) => arm.get(rulesPath(desired)),
    unset: ({ arm }, desired) => arm.tag(serverPath({ ...place, name: desired.server }), ownershipTags(owner)),
  },
  // Together they are the rules.
  count: async ({ arm }, desired) => ((await arm.namesIn(rulesPath(desired))).length > 0 ? 1 : 0),
};

export const sqlRows = { sqlServer, sqlFirewallRules, sqlDatabase };
