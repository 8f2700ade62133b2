/** Drift of a standing tenant: what colleagues changed by hand is found, named and brought back, over the real APIs of simulated clouds. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Activity } from "../../infra/local/clouds/arm/activity-log.ts";
import type { Connector, TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import type { Drift } from "../../shared/api/drift.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { exchangeOf } from "../support/exchange.ts";
import { about, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";
import { testStores } from "../support/stores.ts";

let platform: OnboardingPlatform;
const contoso = customer("contoso");
const { tenantId } = contoso;
const { organization } = contoso.watched;
beforeAll(async () => {
  platform = await startOnboarding({ settings: { DRIFT_REPAIRS_A_DAY: "2" } });
  expect((await platform.onboard(contoso)).error).toBeUndefined();
});
afterAll(() => platform.stop());

const look = async (): Promise<Drift> => (await platform.northwind.lookForDriftNow({ tenantId })).body;
const seen = async (): Promise<Drift> => (await platform.northwind.getDrift({ tenantId })).body;
const condition = async (type: string) =>
  (await platform.northwind.getTenant({ tenantId })).body.conditions.find((one) => one.type === type);
const events = async (type: string) => (await platform.northwind.listEvents({ tenantId, type })).body.value;
const written = async (since: number) => writes(about(contoso, await platform.record(since)));
const repair = async (steps?: string[]) =>
  platform.untilEnded((await platform.northwind.startRepair({ tenantId, ...(steps ? { body: { steps } } : {}) })).body);

/** A sweep, to its end. */
async function sweep(): Promise<void> {
  const ends = () => platform.logged.filter((line) => line.includes("swept for drift")).length;
  const before = ends();
  const { body } = await platform.operator.runSchedule({ timer: "sweepDrift" });
  expect(body).toMatchObject({ setting: "DRIFT_SCHEDULE", lastRun: { startedBy: "operator", outcome: "succeeded" } });
  await vi.waitUntil(() => ends() > before, { timeout: 30_000, interval: 25 });
}

interface Group {
  body: { properties: { securityRules: { name: string; properties: Record<string, unknown> }[] } };
}
const rules = () => platform.clouds.platform.collection<TransportRule>("exchange.transport-rules");
const connectors = () => platform.clouds.platform.collection<Connector>("exchange.inbound-connectors");
function ruleWith(setting: string): [string, TransportRule] {
  const found = rules()
    .entries()
    .find(([, rule]) => rule.tenantId === organization && rule.settings[setting] !== undefined);
  if (!found) throw new Error(`no rule has ${setting}`);
  return found;
}
function connector(): [string, Connector] {
  const found = connectors()
    .entries()
    .find(([, one]) => one.tenantId === organization);
  if (!found) throw new Error("there is no inbound connector");
  return found;
}
function group(): [string, Group] {
  const found = platform.clouds.platform
    .collection<Group>("arm.microsoft.network/networksecuritygroups")
    .entries()
    .find(([id]) => id.includes(contoso.spec.azure.subscriptionId));
  if (!found) throw new Error("there is no network security group");
  return found;
}

test("a tenant that nobody has changed is in sync, said once, by one batch of Exchange and no write", async () => {
  expect(await seen()).toMatchObject({ status: "notLooked", differences: [] });
  const before = await platform.now();
  expect(await look()).toMatchObject({ status: "inSync", differences: [], unread: [] });
  const asked = about(contoso, await platform.record(before));
  expect(asked.filter(({ cloud }) => cloud === "arm").length).toBeLessThan(25);
  expect(await written(before)).toEqual([]);
  const batches = asked.filter(({ cloud }) => cloud === "exchange").map(({ url }) => url.split("/").at(-1));
  // A timer that comes twice may look twice.
  expect(process.env["CHAOS"] === "1" ? [...new Set(batches)] : batches).toEqual(["$batch"]);
  expect(await condition("InSync")).toMatchObject({ status: "True", reason: "AsWanted" });
  expect(await events("tenant.drift.found")).toEqual([]);
});

test("what colleagues changed is found, property by property, with who did it where that is told", async () => {
  const [forwardingKey, forwarding] = ruleWith("RouteMessageOutboundConnector");
  rules().set(forwardingKey, {
    ...forwarding,
    settings: { ...forwarding.settings, ExceptIfSubjectContainsWords: ["invoice"] },
    lastModifiedBy: "Alex Wilber",
  });
  const [, approval] = ruleWith("SetSCL");
  await platform.asStranger(async () => {
    const colleague = await exchangeOf(platform.clouds, organization);
    await colleague.run("Remove-TransportRule", { Identity: approval.guid, Confirm: false });
  });
  const [connectorKey, inbound] = connector();
  connectors().set(connectorKey, { ...inbound, settings: { ...inbound.settings, Enabled: false } });
  const [groupKey, guard] = group();
  const narrowed = guard.body.properties.securityRules.map((rule) =>
    rule.name.includes("SMTP")
      ? { ...rule, properties: { ...rule.properties, sourceAddressPrefix: "198.51.100.7", sourceAddressPrefixes: [] } }
      : rule,
  );
  platform.clouds.platform
    .collection<Group>("arm.microsoft.network/networksecuritygroups")
    .set(groupKey, { ...guard, body: { ...guard.body, properties: { ...guard.body.properties, securityRules: narrowed } } });
  const [, , , , resourceGroupName = ""] = groupKey.split("/");
  const { subscriptionId } = contoso.spec.azure;
  platform.clouds.platform.collection<Activity>("arm.activity-log").set("by-a-colleague", {
    subscriptionId,
    resourceGroupName,
    resourceId: groupKey,
    operationName: "Microsoft.Network/networkSecurityGroups/write",
    caller: "adele@contoso.example",
    applicationId: "c44b4083-3bb0-49c1-b47d-974e53cbdf3c",
    at: Date.now(),
  });

  const before = await platform.now();
  await sweep();
  const found = await seen();
  const logRead = about(contoso, await platform.record(before)).filter(({ url }) => url.includes("/eventtypes/"));
  expect(logRead.map(({ status }) => status)).toEqual([200]);
  expect(found.differences[0]?.culprit).toMatchObject({
    who: "adele@contoso.example",
    evidence: "Azure's activity log: Microsoft.Network/networkSecurityGroups/write",
  });
  expect(found.status).toBe("drifted");
  expect(found.differences.map(({ step, action, repair: by }) => `${step}: ${action}, ${by}`)).toEqual([
    "networkSecurityGroup: update, repair",
    "inboundConnector: update, repair",
    "approvalRule: create, repair",
    "forwardingRule: update, repair",
  ]);
  const [network, disabled, , excepted] = found.differences;
  expect(network?.changes).toEqual([
    expect.objectContaining({ path: expect.stringContaining("SMTP"), actual: expect.anything(), expected: expect.anything() }),
  ]);
  expect(disabled?.changes).toEqual([expect.objectContaining({ path: "enabled", expected: true, actual: false })]);
  expect(excepted).toMatchObject({
    changes: [{ path: "addedByOthers", actual: { ExceptIfSubjectContainsWords: ["invoice"] } }],
    culprit: { who: "Alex Wilber", at: expect.any(String) },
  });
  expect(await condition("InSync")).toMatchObject({ status: "False", reason: "Drifted" });
  expect((await condition("InSync"))?.message).toContain("Approval rule: handled mail passes: missing");
  expect(await condition("MailFlowUndisturbed")).toMatchObject({ status: "False", reason: "ConnectorDisabled" });
  expect(await written(before)).toEqual([]);
});

test("it is told once, however often it is seen", async () => {
  const first = await seen();
  await sweep();
  const again = await seen();
  expect(again.lookedAt).not.toBe(first.lookedAt);
  expect(again.differences).toEqual(first.differences);
  const [event, ...others] = await events("tenant.drift.found");
  expect(others).toEqual([]);
  expect(event?.data["resources"]).toMatchObject(first.differences.map(({ step, title }) => ({ step, title })));
});

test("a rule that sends mail is not repaired while its way is not whole", async () => {
  const before = await platform.now();
  const refused = await repair(["forwardingRule"]);
  expect(refused).toMatchObject({ status: "Failed", kind: "repair", error: { code: "RepairImpossible" } });
  expect(await written(before)).toEqual([]);
  await expect(repair(["stripRule"])).rejects.toMatchObject({ code: "NothingToRepair" });
});

test("a read that fails leaves what is known, says so, and nothing is written", async () => {
  const known = await seen();
  await platform.clouds.fault("exchange", "503", { path: "$batch" });
  const before = await platform.now();
  const unread = await look();
  expect(unread.unread.map(({ step }) => step)).toContain("approvalRule");
  expect(unread.differences.map(({ step }) => step)).toEqual(expect.arrayContaining(known.differences.map(({ step }) => step)));
  expect(await written(before)).toEqual([]);
  await platform.clouds.clearFaults();
  expect(await events("tenant.drift.repaired")).toEqual([]);
  expect((await look()).unread).toEqual([]);
});

test("its plan says what a repair would write and what it would not get by, writes nothing, and can be insisted on", async () => {
  const before = await platform.now();
  const planned = async (steps?: string[]) =>
    (await platform.northwind.planOnboarding({ tenantId, body: { operation: "repair", steps } })).body;
  const all = await planned();
  expect(all.resources.map(({ kind, action }) => `${kind}: ${action}`)).toEqual([
    "networkSecurityGroup: update",
    "inboundConnector: update",
    "approvalRule: create",
    "forwardingRule: update",
  ]);
  expect(all.checks).toMatchObject([{ code: "RepairImpossible", status: "pass" }]);
  expect((await planned(["forwardingRule"])).checks).toMatchObject([
    { code: "RepairImpossible", status: "fail", message: expect.stringContaining("its way is whole") },
  ]);
  await expect(planned(["stripRule"])).rejects.toMatchObject({ code: "NothingToRepair" });
  const insisted = platform.northwind.startRepair({ tenantId, body: { steps: ["approvalRule"], plan: all.hash } });
  await expect(insisted).rejects.toMatchObject({ code: "PlanOutdated" });
  expect(await written(before)).toEqual([]);
});

test("one repair brings all of it back, in the manual's order, each by one write, and the next look is clean", async () => {
  const before = await platform.now();
  const repaired = await repair();
  expect(repaired.error).toBeUndefined();
  expect(repaired.steps.map(({ name, status, change }) => [name, status, ...(change ? [change] : [])].join(" "))).toEqual([
    "look Succeeded",
    "networkSecurityGroup Succeeded updated",
    "inboundConnector Succeeded updated",
    "approvalRule Succeeded created",
    "startTls Succeeded",
    "forwardingRule Succeeded updated",
    "compared Succeeded",
  ]);
  // Exchange Online's own test mail is delivered when it is.
  const record = about(contoso, await platform.record(before)).filter(
    ({ effect, method }) => effect === "write" && method !== "DELIVER",
  );
  expect(
    record.map(({ requestBody, method }) => /"CmdletName":"([^"]+)"/.exec(JSON.stringify(requestBody))?.[1] ?? method),
  ).toEqual(["PUT", "Set-InboundConnector", "New-TransportRule", "Validate-OutboundConnector", "Set-TransportRule"]);
  expect(await seen()).toMatchObject({ status: "inSync", differences: [], unread: [] });
  expect(await condition("InSync")).toMatchObject({ status: "True" });
  expect(await condition("MailFlowUndisturbed")).toMatchObject({ status: "True" });
  // Each once: an activity that runs twice may see the one half before the other.
  const told = (await events("tenant.drift.repaired")).flatMap(({ data }) => data["resources"] as { step: string }[]);
  expect(told.map(({ step }) => step).toSorted((one, other) => one.localeCompare(other))).toEqual([
    "approvalRule",
    "forwardingRule",
    "inboundConnector",
    "networkSecurityGroup",
  ]);
  await expect(repair()).rejects.toMatchObject({ code: "NothingToRepair" });
  const after = await platform.now();
  await sweep();
  expect(await written(after)).toEqual([]);
});

test("what isn't ours is no drift, and stays; a stranger's object under our name waits for a person", async () => {
  const [key, inbound] = connector();
  connectors().set(key, {
    ...inbound,
    settings: { ...inbound.settings, TreatMessagesAsInternal: false, Comment: "somebody else's" },
  });
  const blocked = await look();
  expect(blocked.differences).toMatchObject([{ step: "inboundConnector", action: "blocked", repair: "person" }]);
  await expect(repair(["inboundConnector"])).rejects.toMatchObject({ code: "RepairImpossible" });
  await expect(repair()).rejects.toMatchObject({ code: "NothingToRepair" });
  connectors().set(key, inbound);
  expect((await look()).status).toBe("inSync");
});

const repairsByPolicy = async () =>
  (await platform.northwind.listOperations({ tenantId })).body.value.filter(({ id }) => id.startsWith("repair-"));
/** What another management tool does again and again. */
function disableConnector(): void {
  const [key, inbound] = connector();
  connectors().set(key, { ...inbound, settings: { ...inbound.settings, Enabled: false } });
}

test("by policy, each sweep that finds it brings it back, as often as a day allows", async () => {
  expect(await repairsByPolicy()).toEqual([]);
  await platform.northwind.putTenant({ tenantId, body: { ...contoso.body, drift: { repair: "automatic" } } });
  for (const times of [1, 2]) {
    disableConnector();
    await sweep();
    const [newest, ...earlier] = await repairsByPolicy();
    expect(earlier).toHaveLength(times - 1);
    const { body } = await platform.northwind.getOperation({ operationId: newest?.id ?? "" });
    expect(await platform.untilEnded(body)).toMatchObject({ status: "Succeeded", result: { repaired: ["inboundConnector"] } });
    expect(await condition("InSync")).toMatchObject({ status: "True" });
  }
});

test("then it is told as contested, once, and nothing is written until somebody asks", async () => {
  disableConnector();
  const before = await platform.now();
  await sweep();
  await sweep();
  expect(await repairsByPolicy()).toHaveLength(2);
  expect(await condition("InSync")).toMatchObject({ status: "False", reason: "DriftContested" });
  expect(await events("tenant.drift.contested")).toHaveLength(1);
  expect(await written(before)).toEqual([]);
  expect(await repair()).toMatchObject({ status: "Succeeded", result: { repaired: ["inboundConnector"], differences: [] } });
  expect(await condition("InSync")).toMatchObject({ status: "True" });
});

test("while a second loop GUID is accepted, a rule that knows one only has drifted", async () => {
  const { tenants } = testStores();
  const accepting = (also: (ground: Ground) => Ground["otherLoopGuid"]) =>
    tenants.change("northwind", tenantId, ({ facts }) => {
      const ground = facts["ground"] as Ground;
      return { facts: { ...facts, ground: { ...ground, otherLoopGuid: also(ground) } } };
    });
  const wanting = async (): Promise<string[]> =>
    (await look()).differences.filter(({ changes }) => changes.some(({ path }) => path === "loopGuid")).map(({ step }) => step);
  // Any other secret of the vault does.
  await accepting(({ adminPassword }) => adminPassword);
  expect(await wanting()).toEqual(["approvalRule", "forwardingRule"]);
  await accepting(() => undefined);
  expect(await wanting()).toEqual([]);
});
