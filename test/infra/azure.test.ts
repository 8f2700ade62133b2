/** What the Bicep files ask Azure for: the settings that the code reads, least privilege, no keys, the queues that the code uses. */
import { beforeAll, describe, expect, test } from "vitest";
import { routes } from "../../shared/api/routes.ts";
import { queueNames as sentTo } from "../../shared/messages/service-bus.ts";
import { settings } from "../../shared/config.ts";
import { type Registration, registrations, sampleSettings } from "../presubmit/registrations.ts";
import { filesIn, read } from "../presubmit/sources.ts";
import { type BicepFile, everyObject, readBicep, type Resource, type Value } from "./bicep.ts";

const files: BicepFile[] = filesIn("infra")
  .filter((file) => file.endsWith(".bicep"))
  .map(readBicep);
const moduleNamed = (name: string): BicepFile => readBicep(`infra/modules/${name}.bicep`);
const created = (type: string): Resource[] =>
  files.flatMap(({ resources }) => resources).filter((resource) => resource.type === type && !resource.existing);
const names = (value: Value | undefined): string[] => Object.keys(value ?? {}).toSorted();
/** The Functions host reads the parts of an identity-based connection from settings `CONNECTION__PART`. */
const connectionOf = (setting: string): string => setting.split("__")[0] ?? "";

const sources = filesIn("functions")
  .filter((file) => file.endsWith(".ts"))
  .map(read);

const functionApp = moduleNamed("function-app");
const serviceBus = moduleNamed("service-bus");

/** Learn, "Flex Consumption plan deprecations" in "App settings reference for Azure Functions": functionAppConfig says these. */
const NOT_ON_FLEX = [
  "ENABLE_ORYX_BUILD",
  "FUNCTIONS_EXTENSION_VERSION",
  "FUNCTIONS_WORKER_PROCESS_COUNT",
  "FUNCTIONS_WORKER_RUNTIME",
  "FUNCTIONS_WORKER_RUNTIME_VERSION",
  "SCM_DO_BUILD_DURING_DEPLOYMENT",
  "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
  "WEBSITE_CONTENTSHARE",
  "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
  "WEBSITE_NODE_DEFAULT_VERSION",
  "WEBSITE_RUN_FROM_PACKAGE",
  "WEBSITE_TIME_ZONE",
];

/** Learn, "Azure built-in roles". */
const BUILT_IN_ROLES: Record<string, string> = {
  "Azure Service Bus Data Owner": "090c5cfd-751d-490a-894a-3ce6f1109419",
  "Azure Service Bus Data Receiver": "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0",
  "Azure Service Bus Data Sender": "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39",
  "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
  "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
  "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
  "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
  "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
  "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
};

let registered: Registration[] = [];
beforeAll(async () => {
  registered = await registrations();
});

describe("settings", () => {
  const appSettings = functionApp.variables["appSettings"] as Record<string, Value>;
  const hostSettings = functionApp.variables["hostSettings"] as Record<string, Value>;

  test("the app gets every setting that shared/config.ts reads, and no other", () => {
    expect(names(appSettings)).toEqual(Object.keys(settings).toSorted());
  });

  test("what is not computed has the value of the sample, which is production's", () => {
    const literal = Object.entries(appSettings).filter(([, value]) => typeof value === "string");
    expect(literal.length).toBeGreaterThan(5);
    const samples = Object.fromEntries(Object.entries(settings).map(([name, { sample }]) => [name, sample]));
    expect(Object.fromEntries(literal)).toEqual(Object.fromEntries(literal.map(([name]) => [name, samples[name]])));
  });

  test("the host gets an identity-based connection for each name that the sample or a trigger uses", () => {
    const connections = new Set(
      registered.flatMap(({ trigger }) => (typeof trigger["connection"] === "string" ? [trigger["connection"]] : [])),
    );
    for (const name of connections) expect(names(hostSettings)).toContain(`${name}__fullyQualifiedNamespace`);
    const own = Object.keys(sampleSettings()).filter((name) => !(name in settings) && !NOT_ON_FLEX.includes(name));
    const given = new Set(names(hostSettings).map(connectionOf));
    expect(own.filter((name) => !given.has(connectionOf(name)))).toEqual([]);
  });

  test("each connection says which identity it uses", () => {
    const connections = new Set(
      names(hostSettings)
        .filter((name) => name.includes("__"))
        .map(connectionOf),
    );
    expect([...connections]).toEqual(["AzureWebJobsStorage", "ServiceBusConnection"]);
    for (const name of connections) {
      expect(hostSettings[`${name}__credential`]).toBe("managedidentity");
      expect(hostSettings[`${name}__clientId`]).toEqual({ expression: "identity.properties.clientId" });
    }
  });

  test("Durable gets queues and tables besides blobs", () => {
    expect(names(hostSettings)).toEqual(
      expect.arrayContaining(["blob", "queue", "table"].map((service) => `AzureWebJobsStorage__${service}ServiceUri`)),
    );
  });

  test("nothing is set that Flex Consumption takes from functionAppConfig", () => {
    expect([...names(hostSettings), ...names(appSettings)].filter((name) => NOT_ON_FLEX.includes(name))).toEqual([]);
  });

  test("overrides come last, after the host's and the app's own", () => {
    expect(created("Microsoft.Web/sites/config").map(({ body }) => body["properties"])).toEqual([
      { expression: "union(hostSettings, appSettings, settings)" },
    ]);
  });
});

describe("the function app", () => {
  const [app] = created("Microsoft.Web/sites");
  const [plan] = created("Microsoft.Web/serverfarms");

  test("is on Flex Consumption, with Node and the deployed package reached by its identity", () => {
    expect(plan?.body).toMatchObject({ sku: { name: "FC1", tier: "FlexConsumption" }, properties: { reserved: true } });
    expect(app?.body["properties"]).toMatchObject({
      functionAppConfig: {
        runtime: { name: "node", version: { expression: "nodeVersion" } },
        deployment: { storage: { type: "blobContainer", authentication: { type: "UserAssignedIdentity" } } },
      },
    });
  });

  test("may run on the Node that the bundle is made for, and on 24", () => {
    const target = /target: "node(\d+)"/.exec(read("infra/build.ts"))?.[1];
    for (const bicep of [readBicep("infra/main.bicep"), functionApp])
      expect(bicep.parameters.find(({ name }) => name === "nodeVersion")?.allowed).toEqual([target, "24"]);
  });

  test("speaks HTTPS with TLS 1.2 or newer, and takes no passwords for deployment", () => {
    expect(app?.body["properties"]).toMatchObject({
      httpsOnly: true,
      siteConfig: { minTlsVersion: "1.2", ftpsState: "Disabled" },
    });
    const policies = created("Microsoft.Web/sites/basicPublishingCredentialsPolicies").map(({ body }) => body);
    expect(policies.map(({ name }) => name)).toEqual(["scm", "ftp"]);
    for (const policy of policies) expect(policy["properties"]).toEqual({ allow: false });
  });
});

describe("no keys", () => {
  test("storage takes Entra tokens only, over TLS 1.2 or newer, and shows nothing to the public", () => {
    expect(created("Microsoft.Storage/storageAccounts").map(({ body }) => body["properties"])).toEqual([
      expect.objectContaining({
        allowSharedKeyAccess: false,
        allowBlobPublicAccess: false,
        minimumTlsVersion: "TLS1_2",
        supportsHttpsTrafficOnly: true,
      }),
    ]);
    const containers = created("Microsoft.Storage/storageAccounts/blobServices/containers").map(({ body }) => body["properties"]);
    expect(containers).toEqual(containers.map(() => ({ publicAccess: "None" })));
  });

  test("Service Bus, Application Insights and Log Analytics take Entra tokens only", () => {
    expect(created("Microsoft.ServiceBus/namespaces")[0]?.body["properties"]).toMatchObject({
      disableLocalAuth: true,
      minimumTlsVersion: "1.2",
    });
    expect(created("Microsoft.Insights/components")[0]?.body["properties"]).toMatchObject({ DisableLocalAuth: true });
    expect(created("Microsoft.OperationalInsights/workspaces")[0]?.body["properties"]).toMatchObject({
      features: { disableLocalAuth: true },
    });
  });

  test("the vault is opened by roles, and can't be emptied for good", () => {
    expect(created("Microsoft.KeyVault/vaults").map(({ body }) => body["properties"])).toEqual([
      expect.objectContaining({ enableRbacAuthorization: true, enableSoftDelete: true, enablePurgeProtection: true }),
    ]);
  });

  test("no file asks for a key or holds one, and no output or parameter is a secret", () => {
    const asking = /\blist\w*\(|AccountKey|SharedAccessKey|primaryKey|InstrumentationKey|@secure|\.getSecret\(/i;
    expect(files.filter(({ tree }) => asking.test(tree.rootNode.text)).map(({ file }) => file)).toEqual([]);
    const telling = files.flatMap(({ file, outputs }) =>
      outputs.filter(({ text }) => /connectionstring|secret|password|key\b/i.test(text)).map(({ name }) => `${file}: ${name}`),
    );
    expect(telling).toEqual([]);
    expect(files.flatMap(({ parameters }) => parameters.filter(({ secure }) => secure))).toEqual([]);
  });
});

describe("roles", () => {
  test("are built-in ones, under their own names", () => {
    const given = files.flatMap(({ variables }) => Object.entries((variables["roles"] ?? {}) as Record<string, string>));
    expect(given.filter(([name, id]) => BUILT_IN_ROLES[name] !== id)).toEqual([]);
    expect(Object.keys(BUILT_IN_ROLES).filter((name) => !given.some(([other]) => other === name))).toEqual([]);
  });

  test("are assigned on one resource each, by those lists, to service principals", () => {
    const assignments = files.flatMap(({ file, resources }) =>
      resources
        .filter(({ type }) => type === "Microsoft.Authorization/roleAssignments")
        .map(({ symbol, body }) => ({ file, symbol, body })),
    );
    expect(assignments.length).toBeGreaterThan(6);
    const odd = assignments.filter(({ body }) => {
      const { roleDefinitionId, principalType } = body["properties"] as Record<string, Value>;
      const role = (roleDefinitionId as { expression: string }).expression;
      const known =
        /^subscriptionResourceId\('Microsoft\.Authorization\/roleDefinitions', (?:roles\['[^']+'\]|role\.value)\)$/.test(role);
      return !known || principalType !== "ServicePrincipal" || body["scope"] === undefined;
    });
    expect(odd.map(({ file, symbol }) => `${file}: ${symbol}`)).toEqual([]);
  });

  test("Manage rights on queues are given only when they are asked for", () => {
    const text = serviceBus.tree.rootNode.text;
    expect(text.match(/in queueNames: if \(countMessagesForScaling\) \{\n\s+name: guid\([^\n]+Data Owner/g)).toHaveLength(1);
    expect(text.match(/guid\([^\n]+Data Owner/g)).toHaveLength(1);
  });
});

describe("the application, which infra/README.md says how to make", () => {
  const readme = read("infra/README.md");

  test("asks for the permissions that onboarding expects, and for no others", () => {
    const expected = /const expectedRoles = \{([\s\S]*?)\n\};/.exec(read("shared/runbook/access.ts"))?.[1] ?? "";
    const roles = [...expected.matchAll(/"([^"]+)"/g)].map(([, role = ""]) => role);
    const asked = [...readme.matchAll(/^ask \S+ (.+)$/gm)].flatMap(([, list = ""]) => list.split(" "));
    expect(asked.toSorted()).toEqual(roles.toSorted());
    expect(roles.length).toBeGreaterThan(5);
  });

  test("has the redirect URI that consent comes back to", () => {
    expect(readme).toContain(`$PUBLIC_URL${routes.acceptConsent.path}"`);
  });
});

describe("queues", () => {
  const queueNames = readBicep("infra/main.bicep").variables["queueNames"] as string[];

  test("are those that the app sends to and is triggered by", () => {
    expect(queueNames).toEqual(sentTo);
    const handled = sources.flatMap((code) =>
      [...code.matchAll(/registerQueue\(\s*"\w+",\s*"(\w+)"/g)].map(([, name = ""]) => name),
    );
    expect(handled.toSorted()).toEqual(queueNames);
    const triggers = registered
      .filter(({ trigger }) => trigger.type === "serviceBusTrigger")
      .map(({ trigger }) => trigger["queueName"]);
    expect(triggers.filter((name) => !handled.includes(name as string))).toEqual([]);
  });

  test("behave as those on one machine do: dead letters after five tries or too long a wait, nothing twice", () => {
    const onOneMachine: Record<string, Value>[] = JSON.parse(read("infra/local/service-bus/queues.json"));
    expect(onOneMachine.map(({ name }) => name)).toEqual(queueNames);
    const [properties] = created("Microsoft.ServiceBus/namespaces/queues").map(({ body }) => body["properties"]);
    for (const { name: _, ...options } of onOneMachine) expect(properties).toMatchObject(options);
    expect(properties).toMatchObject({ maxDeliveryCount: 5, deadLetteringOnMessageExpiration: true, requiresSession: false });
  });

  test("near expiries of the vault arrive in one of them, by the topic's own identity, and what can't is kept", () => {
    const [subscription] = created("Microsoft.EventGrid/systemTopics/eventSubscriptions");
    expect(subscription?.body["properties"]).toMatchObject({
      eventDeliverySchema: "CloudEventSchemaV1_0",
      deliveryWithResourceIdentity: { identity: { type: "SystemAssigned" }, destination: { endpointType: "ServiceBusQueue" } },
      deadLetterWithResourceIdentity: { deadLetterDestination: { endpointType: "StorageBlob" } },
      filter: {
        includedEventTypes: [
          "Microsoft.KeyVault.SecretNearExpiry",
          "Microsoft.KeyVault.CertificateNearExpiry",
          "Microsoft.KeyVault.CertificateNewVersionCreated",
        ],
      },
    });
    const target = /module vaultEvents[\s\S]*?queueName: '(\w+)'/.exec(read("infra/main.bicep"))?.[1];
    expect(queueNames).toContain(target);
  });
});

describe("alerts", () => {
  const alerts = moduleNamed("alerts");
  const queries = alerts.variables["queries"] as { name: string; query: string; threshold: number }[];
  const queryOf = (rule: string): string => queries.find(({ name }) => name === rule)?.query ?? "";
  const activities = sources.flatMap((code) =>
    [...code.matchAll(/^ {4}(?:async )?(\w+):? (?:async )?\(/gm)].map(([, name = ""]) => name),
  );
  const timers = sources.flatMap((code) =>
    [...code.matchAll(/register(?:Durable)?Timer\("(\w+)", "%(\w+)%"/g)].map(([, name = "", setting = ""]) => ({
      name,
      setting: setting as keyof typeof settings,
    })),
  );

  test("a dead letter in any queue is one, and leads to a page that says what to do", () => {
    const [deadLetters] = alerts.resources.filter(({ symbol }) => symbol === "deadLetters");
    const criteria = [...everyObject(deadLetters?.body ?? {})].find(({ metricName }) => metricName !== undefined);
    expect(criteria).toMatchObject({ metricName: "DeadletteredMessages", operator: "GreaterThan", threshold: 0 });
    for (const queue of readBicep("infra/main.bicep").variables["queueNames"] as string[])
      expect(read(`functions/${queue}/README.md`)).toContain("## When it fails");
  });

  test("a failed operation is one: activities that put failures on record are found by their names", () => {
    const pattern = /^AppRequests \| where Name matches regex "(.+)"$/.exec(queryOf("failed-operations"))?.[1] ?? "";
    const found = activities.filter((name) => new RegExp(pattern).test(name));
    expect(found).toEqual(expect.arrayContaining(["failOnboarding", "failRotation", "escalateCase"]));
  });

  test("a timer that stands still is one, if it runs several times an hour", () => {
    const watched = [...queryOf("silent-timers").matchAll(/"(\w+)"/g)].map(([, name = ""]) => name);
    const often = timers.filter(({ setting }) => !/^\d+ \d+ /.test(settings[setting]?.sample ?? ""));
    expect(watched.toSorted()).toEqual(often.map(({ name }) => name).toSorted());
    expect(queries.find(({ name }) => name === "silent-timers")?.threshold).toBe(watched.length);
  });

  test("a message that can never be handled is one: the log line is found by its words", () => {
    const words = /matches regex "\^(\w+) \.\+ (.+)"$/.exec(queryOf("poison-messages")) ?? [];
    expect(read("shared/triggers.ts")).toMatch(new RegExp(`\`${words[1]} \\$\\{.+${words[2]}\\$`));
  });

  test("queries over runs of functions see all of them, since these are kept out of sampling", () => {
    expect(JSON.parse(read("host.json")).logging.applicationInsights.samplingSettings.excludedTypes.split(";")).toContain(
      "Request",
    );
  });

  test("every alert reaches the action groups", () => {
    const rules = alerts.resources.filter(({ type }) => /\/(metricAlerts|scheduledQueryRules)$/.test(type));
    expect(rules).toHaveLength(3);
    for (const { body } of rules)
      expect(JSON.stringify((body["properties"] as Record<string, Value>)["actions"])).toContain("groups");
  });
});
