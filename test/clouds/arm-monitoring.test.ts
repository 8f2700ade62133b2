/** Storage accounts, diagnostic settings and data collection in the simulated Azure: what they accept, and what refers to what. */
import { expect, test } from "vitest";
import { createTestArm, type TestArm } from "../support/arm-platform.ts";
import {
  ask,
  at,
  groupId,
  location,
  make,
  makeGround,
  makeMachine,
  outcome,
  ref,
  remove,
  rows,
} from "../support/arm-requests.ts";

const account = "Microsoft.Storage/storageAccounts/contosologs";
const accountBody = (sku = "Standard_GRS", more: Record<string, unknown> = {}) => ({
  location,
  sku: { name: sku },
  kind: "StorageV2",
  properties: { minimumTlsVersion: "TLS1_2", allowBlobPublicAccess: false },
  ...more,
});
const refused = async (arm: TestArm, method: string, path: string, body?: unknown) =>
  at((await ask(arm, method, path, body === undefined ? {} : { body })).body, "error.code");

test("an account is accepted with a Location only, which in the end gives the account", async () => {
  const arm = createTestArm();
  await make(arm, groupId, { location });
  const begun = await ask(arm, "PUT", account, { body: accountBody() });
  expect([begun.status, begun.body, begun.headers["azure-asyncoperation"]]).toEqual([202, {}, undefined]);
  expect(await outcome(arm, begun)).toMatchObject({
    name: "contosologs",
    sku: { name: "Standard_GRS", tier: "Standard" },
    properties: { provisioningState: "Succeeded", primaryLocation: "westeurope", secondaryLocation: "northeurope" },
  });
  const { body } = await ask(arm, "POST", `${account}/listKeys`, { body: {} });
  expect((body["keys"] as unknown[]).length).toBe(2);
  expect((await remove(arm, account)).status).toBe(200);
  expect((await remove(arm, account)).status).toBe(204);
});

test("names are unique and short, and replication changes only where data needn't move", async () => {
  const arm = createTestArm();
  await make(arm, groupId, { location });
  await make(arm, account, accountBody());
  const other = groupId.replace("gateway", "other");
  await make(arm, other, { location });
  const check = async (name: string) => {
    const path = `${groupId.split("/resourceGroups/")[0]}/providers/Microsoft.Storage/checkNameAvailability`;
    return (await ask(arm, "POST", path, { body: { name, type: "Microsoft.Storage/storageAccounts" } })).body["reason"];
  };
  expect([await check("contosologs"), await check("Contoso-Logs"), await check("contosologs2")]).toEqual([
    "AlreadyExists",
    "AccountNameInvalid",
    undefined,
  ]);
  expect([
    await refused(arm, "PUT", `${other}/providers/${account}`, accountBody()),
    await refused(arm, "PUT", "Microsoft.Storage/storageAccounts/Contoso", accountBody()),
    await refused(arm, "PUT", account, accountBody("Standard_ZRS")),
    await refused(
      arm,
      "PUT",
      "Microsoft.Storage/storageAccounts/north",
      accountBody("Standard_ZRS", { location: "germanynorth" }),
    ),
    await refused(arm, "PUT", account, accountBody("Standard_RAGRS")),
  ]).toEqual([
    "StorageAccountAlreadyTaken",
    "AccountNameInvalid",
    "StorageAccountTypeCannotBeChanged",
    "StorageAccountTypeNotSupported",
    undefined,
  ]);
});

const network = "Microsoft.Network/virtualNetworks/net";
const setting = (target: string, name: string) => `${ref(target).id}/providers/Microsoft.Insights/diagnosticSettings/${name}`;

test("diagnostic settings name what the resource has, and an account of its region; they outlive the resource", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await make(arm, account, accountBody());
  await make(arm, "Microsoft.Storage/storageAccounts/elsewhere", accountBody("Standard_LRS", { location: "northeurope" }));
  const body = (logs: string[], storage = account) => ({
    properties: {
      storageAccountId: ref(storage).id,
      logs: logs.map((category) => ({ category, enabled: true })),
      metrics: [{ category: "AllMetrics", enabled: true }],
    },
  });
  const path = setting(network, "to-storage");
  expect((await ask(arm, "PUT", path, { body: body(["VMProtectionAlerts"]) })).status).toBe(200);
  expect(await refused(arm, "PUT", setting(network, "b"), body(["NoSuchCategory"]))).toBe("BadRequest");
  expect(await refused(arm, "PUT", setting(network, "b"), body([], "Microsoft.Storage/storageAccounts/elsewhere"))).toBe(
    "BadRequest",
  );
  expect(await refused(arm, "PUT", setting(network, "b"), body(["VMProtectionAlerts"]))).toBe("Conflict");
  expect(await refused(arm, "PUT", setting("Microsoft.Network/virtualNetworks/no", "b"), body([]))).toBe("ResourceNotFound");
  const { body: list } = await ask(arm, "GET", setting(network, "").replace(/\/$/, ""));
  expect(rows(list).map(({ name }) => name)).toEqual(["to-storage"]);
  expect(arm.schemaFindings()).toEqual([]);
  await remove(arm, path);
  expect((await ask(arm, "GET", path)).status).toBe(404);
});

test("a rule sends to a workspace of its region, is bound to a machine, and can't go before that binding", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await makeMachine(arm, "smtp01");
  const workspace = "Microsoft.OperationalInsights/workspaces/contoso-logs";
  const rule = "Microsoft.Insights/dataCollectionRules/gateway";
  const ruleBody = (destination = "logs") => ({
    location,
    kind: "Windows",
    properties: {
      dataSources: {
        performanceCounters: [
          {
            name: "smtp",
            streams: ["Microsoft-Perf"],
            samplingFrequencyInSeconds: 60,
            counterSpecifiers: ["\\SMTP Server(*)\\Local Queue Length"],
          },
        ],
        windowsEventLogs: [{ name: "events", streams: ["Microsoft-Event"], xPathQueries: ["Application!*[System[(Level=1)]]"] }],
      },
      destinations: { logAnalytics: [{ name: "logs", workspaceResourceId: ref(workspace).id }] },
      dataFlows: [{ streams: ["Microsoft-Perf", "Microsoft-Event"], destinations: [destination] }],
    },
  });
  expect(await refused(arm, "PUT", rule, ruleBody())).toBe("InvalidPayload");
  await make(arm, workspace, { location, properties: {} });
  expect(await refused(arm, "PUT", rule, ruleBody("nowhere"))).toBe("InvalidPayload");
  const made = await make(arm, rule, ruleBody());
  expect(at(made, "properties.immutableId")).toMatch(/^dcr-[0-9a-f]{32}$/);
  expect(at(await make(arm, rule, ruleBody()), "properties.immutableId")).toBe(at(made, "properties.immutableId"));
  const association = `${ref("Microsoft.Compute/virtualMachines/smtp01").id}/providers/Microsoft.Insights/dataCollectionRuleAssociations/gateway`;
  expect(await refused(arm, "PUT", association, { properties: { dataCollectionRuleId: ref(`${rule}x`).id } })).toBe("NotFound");
  expect((await ask(arm, "PUT", association, { body: { properties: { dataCollectionRuleId: ref(rule).id } } })).status).toBe(201);
  expect(await refused(arm, "DELETE", rule)).toBe("Conflict");
  expect((await remove(arm, association)).status).toBe(200);
  expect((await remove(arm, rule)).status).toBe(200);
});
