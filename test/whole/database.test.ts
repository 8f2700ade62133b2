/** An onboarding with Azure SQL: what stands in Azure, who reaches it, and what a plan says when somebody opens it. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

interface ArmResource {
  id: string;
  name: string;
  type: string;
  tags?: Record<string, string>;
  sku?: { name: string };
  properties: Record<string, unknown>;
}

const administrator = { entraGroupId: "5a1b0000-0000-4000-8000-000000000001", name: "Gateway administrators" };
const azureSql = { kind: "azureSql" as const, administrator, sku: "S0" as const };
const tenant = customer("contoso", "lucerne", { regions: [{ name: "westeurope", machines: 2 }] }, { database: azureSql });
const { tenantId } = tenant;
const { sqlServer } = namesOf({ partnerId: "northwind", tenantId, regions: tenant.spec.gateway.regions });

let platform: OnboardingPlatform;
let operation: Operation;
beforeAll(async () => {
  platform = await startOnboarding();
  operation = await platform.onboard(tenant);
});
afterAll(() => platform.stop());

async function azureOf({ spec }: Customer): Promise<(type: string) => ArmResource[]> {
  const { resources } = (await platform.clouds.state("arm")) as { resources: ArmResource[] };
  const mine = resources.filter(({ id }) => id.toLowerCase().startsWith(`/subscriptions/${spec.azure.subscriptionId}/`));
  return (type) => mine.filter((one) => one.type === type);
}

const rangesOf = (rules: ArmResource[]): string[] =>
  rules.map(({ properties }) => `${properties["startIpAddress"] as string}-${properties["endIpAddress"] as string}`).sort();

test("the server admits Entra only, and the gateways only; there are two databases; the operation names them", async () => {
  expect(operation.error).toBeUndefined();
  const of = await azureOf(tenant);
  const [server, ...others] = of("Microsoft.Sql/servers");
  expect(others).toEqual([]);
  expect(server).toMatchObject({
    name: sqlServer,
    tags: { "gatehouse-partner": "northwind", "gatehouse-tenant": tenantId },
    properties: {
      minimalTlsVersion: "1.2",
      publicNetworkAccess: "Enabled",
      administrators: {
        sid: administrator.entraGroupId,
        login: administrator.name,
        tenantId: tenant.spec.azure.tenantId,
        azureADOnlyAuthentication: true,
      },
    },
  });
  const egressIps = operation.result?.["egressIps"] as string[];
  expect(egressIps).toHaveLength(2);
  expect(rangesOf(of("Microsoft.Sql/servers/firewallRules"))).toEqual(egressIps.map((address) => `${address}-${address}`).sort());
  expect(
    of("Microsoft.Sql/servers/databases").map(({ name, sku, properties }) => [
      name,
      sku?.name,
      properties["requestedBackupStorageRedundancy"],
    ]),
  ).toEqual([
    ["iqsuite", "S0", "Geo"],
    ["webclient", "S0", "Geo"],
  ]);
  const fqdn = server?.properties["fullyQualifiedDomainName"];
  expect(operation.result?.["databases"]).toEqual({ server: fqdn, iqSuite: "iqsuite", webClient: "webclient" });
});

test("nothing generated a password for it, and no request carried one", async () => {
  const asked = await sqlRequests();
  expect(asked).not.toEqual([]);
  expect(JSON.stringify(asked.map(({ requestBody }) => requestBody))).not.toMatch(/password/i);
});

test("each body that was sent fits the SDK's model of it", async () => {
  const models = (await import(`data:text/javascript,${encodeURIComponent(readFileSync(mappersFile, "utf8"))}`)) as Mappers;
  const sent = (await sqlRequests()).filter(({ method }) => method === "PUT");
  const found = sent.map(({ url, requestBody }) => {
    const type = new URL(url).pathname.split("/").at(-2) ?? "";
    const known = writable(models, modelOf[type] ?? "");
    return [type, ...pathsOf(requestBody).filter((path) => !known.has(path))].join(" ");
  });
  expect(found.toSorted()).toEqual(["databases", "databases", "firewallRules", "firewallRules", "servers"]);
});

test("asked again, nothing is written, and the answer is the same", async () => {
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
  expect(again.result).toEqual(operation.result);
});

test("a rule that lets in the whole internet is shown as drift, and taken away by the next onboarding", async () => {
  const of = await azureOf(tenant);
  const [rule] = of("Microsoft.Sql/servers/firewallRules");
  if (!rule) throw new Error("there is no firewall rule");
  const everybody = { startIpAddress: "0.0.0.0", endIpAddress: "255.255.255.255" };
  const id = rule.id.replace(/[^/]+$/, "everybody");
  const stored = platform.clouds.platform.collection<{ id: string; name: string; body: ArmResource }>(
    "arm.microsoft.sql/servers/firewallrules",
  );
  const ours = stored.get(rule.id.toLowerCase());
  if (!ours) throw new Error("the rule is stored elsewhere");
  stored.set(id.toLowerCase(), {
    ...ours,
    id,
    name: "everybody",
    body: { ...ours.body, id, name: "everybody", properties: everybody },
  });

  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  expect(plan.resources.filter(({ action }) => action !== "none")).toEqual([
    {
      kind: "sqlFirewallRules",
      name: "Only the gateways reach the Azure SQL server",
      action: "update",
      changes: [{ path: "rules/everybody", from: "0.0.0.0-255.255.255.255", to: null }],
    },
  ]);
  expect(plan.checks).toContainEqual(expect.objectContaining({ code: "SqlServerNameTaken", status: "pass" }));

  const before = await platform.now();
  expect((await platform.untilEnded(await platform.start(tenant))).error).toBeUndefined();
  expect(writes(await platform.record(before)).map((write) => write.replace(/\?.*/, ""))).toEqual([
    expect.stringMatching(/^arm DELETE .*\/firewallRules\/everybody$/),
  ]);
});

test("a name that somebody else holds is found before anything is made", async () => {
  const taken = customer("contoso", "humongous", {}, { database: azureSql });
  await platform.organize(taken);
  await platform.register(taken);
  const { sqlServer: name } = namesOf({ partnerId: "northwind", tenantId: taken.tenantId, regions: taken.spec.gateway.regions });
  const servers = platform.clouds.platform.collection<{ id: string; name: string }>("arm.microsoft.sql/servers");
  const theirs = {
    ...servers.values()[0],
    id: `/subscriptions/somebody/resourceGroups/theirs/providers/Microsoft.Sql/servers/${name}`,
    name,
  };
  servers.set(theirs.id.toLowerCase(), theirs);
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId: taken.tenantId });
  expect(plan.checks.filter(({ status }) => status === "fail")).toEqual([
    expect.objectContaining({ code: "SqlServerNameTaken", message: `the SQL server's name ${name} is taken` }),
  ]);
  expect(await platform.untilEnded(await platform.start(taken))).toMatchObject({
    status: "Failed",
    error: { code: "SqlServerNameTaken" },
  });
  expect((await azureOf(taken))("Microsoft.Network/publicIPAddresses")).toEqual([]);
});

const sqlRequests = async (): Promise<Exchange[]> =>
  (await platform.record()).filter(
    ({ cloud, url }) => cloud === "arm" && url.includes("/Microsoft.Sql/") && url.includes(sqlServer),
  );

/** The SDK's own description of its models, of which it exports types only. */
const mappersFile = new URL("../../node_modules/@azure/arm-sql/dist-esm/src/models/mappers.js", import.meta.url);
const modelOf: Record<string, string> = { servers: "Server", databases: "Database", firewallRules: "FirewallRule" };

type Mappers = Record<string, Mapper>;
interface Mapper {
  serializedName?: string;
  readOnly?: boolean;
  type: { name: string; className?: string; modelProperties?: Record<string, Mapper> };
}

/** What a body may have, as paths; a dictionary's names are open. */
function writable(models: Mappers, name: string): Set<string> {
  const paths = Object.values(models[name]?.type.modelProperties ?? {}).flatMap((property) => {
    const { serializedName = "", readOnly, type } = property;
    if (readOnly) return [];
    const below = type.className ? [...writable(models, type.className)].map((path) => `${serializedName}.${path}`) : [];
    return [serializedName, ...below];
  });
  return new Set(paths);
}

const pathsOf = (body: unknown, path = ""): string[] =>
  typeof body !== "object" || body === null || path === "tags."
    ? [path.slice(0, -1)]
    : Object.entries(body).flatMap(([name, value]) => pathsOf(value, `${path}${name}.`));

everyBodyFits(
  () => platform.record(),
  [
    "microsoft.sql/servers@2022-08-01-preview",
    "microsoft.sql/servers/firewallrules@2020-11-01-preview",
    "microsoft.sql/servers/databases@2022-08-01-preview",
  ],
);
