/** A gateway dies, mail goes round it, and comes back: by mail that is sent all the while, of which none is lost and none comes twice. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import { exchangeOf } from "../support/exchange.ts";
import { exchangeWrites, type MailStream, streamOfMail } from "../support/mail-stream.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
let heartbeats: { stop(): void };
let stream: MailStream;
let rulesBefore: unknown;
const contoso = customer(
  "contoso",
  "contoso",
  {},
  {
    pilot: { addresses: ["pilot@contoso.example"], incoming: true },
    outage: { mailFlow: "failOpen", afterInMinutes: 0, restoreAfterInMinutes: 1, bypassesADay: 2 },
  },
);
const { tenantId } = contoso;
beforeAll(async () => {
  // Mail that waits is tried again in modelled minutes: at this tempo a day of it is longer than the test.
  platform = await startOnboarding({ tempo: 0.001 });
  expect((await platform.onboard(contoso)).error).toBeUndefined();
  heartbeats = startHeartbeats(platform.clouds.platform);
  expect((await platform.untilEnded((await platform.northwind.startPromotion({ tenantId })).body)).error).toBeUndefined();
  rulesBefore = await rules();
  stream = streamOfMail(platform, contoso);
});
afterAll(async () => {
  heartbeats.stop();
  await platform.stop();
});

const rules = async (): Promise<unknown> =>
  (await exchangeOf(platform.clouds, contoso.watched.organization)).list("Get-TransportRule");
const tenant = async () => (await platform.northwind.getTenant({ tenantId })).body;
const bypass = async () =>
  platform.untilEnded((await platform.northwind.startBypass({ tenantId, body: { reason: "the gateway does not answer" } })).body);
const restore = async () => platform.untilEnded((await platform.northwind.startRestore({ tenantId })).body);
const said = async (): Promise<string[]> =>
  (await platform.northwind.listEvents({ tenantId })).body.value.map(({ type }) => type).toReversed();

async function power(state: "stopped" | "running"): Promise<void> {
  const machines = platform.clouds.platform.collection<{ facts: Record<string, unknown> }>(
    "arm.microsoft.compute/virtualmachines",
  );
  const [key, machine] = machines.entries().find(([id]) => id.includes(contoso.spec.azure.subscriptionId)) ?? [];
  if (key === undefined || !machine) throw new Error("contoso has no machine");
  machines.set(key, { ...machine, facts: { ...machine.facts, power: state } });
  await platform.fire("pollGateways");
  await expect
    .poll(async () => (await platform.northwind.getGateway({ gatewayId: `${tenantId}-gateway-1` })).body.state.health, {
      timeout: 60_000,
    })
    .toBe(state === "running" ? "healthy" : "stopped");
}

test("nobody else's tenant, no tenant without a reason, and nothing that isn't bypassed", async () => {
  const theirs = platform.tailspin.startBypass({ tenantId, body: { reason: "not ours" } });
  await expect(theirs).rejects.toMatchObject({ status: 404, code: "TenantNotFound" });
  await expect(platform.tailspin.startRestore({ tenantId })).rejects.toMatchObject({ code: "TenantNotFound" });
  await expect(platform.northwind.startBypass({ tenantId, body: { reason: "" } })).rejects.toMatchObject({ status: 400 });
  await expect(platform.northwind.startRestore({ tenantId })).rejects.toMatchObject({ code: "NotBypassed" });
  expect(await stream.one("before")).toBe("through");
});

test("with the gateway dead and all of Azure down, one write leads everybody's mail round it, and probe mails prove it", async () => {
  await power("stopped");
  const before = await platform.now();
  for (const cloud of ["arm", "vault"] as const) await platform.clouds.fault(cloud, { kind: "status", status: 503 }, {}, 10_000);
  const bypassed = await bypass();
  await platform.clouds.clearFaults();

  expect(bypassed.error).toBeUndefined();
  expect(bypassed).toMatchObject({
    kind: "bypass",
    status: "Succeeded",
    result: { stage: "bypassed", before: "live", by: "call" },
  });
  expect(bypassed.steps.map(({ name, status }) => `${name}: ${status}`)).toEqual([
    "bypassRule: Succeeded",
    "aroundGateway: Succeeded",
  ]);
  const record = await platform.record(before);
  expect(exchangeWrites(record, contoso)).toEqual(["New-TransportRule"]);
  expect(record.filter(({ cloud }) => cloud === "arm" || cloud === "vault")).toEqual([]);
  const { stage, conditions } = await tenant();
  expect(stage).toBe("bypassed");
  expect(conditions).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ type: "MailFlowConnected", status: "False", reason: "Bypassed" }),
      expect.objectContaining({ type: "Ready", status: "False", reason: "Bypassed" }),
    ]),
  );
  expect(await stream.one("while-bypassed")).toBe("around");
});

test("bypassed once more, nothing is written, and where it returns to is not forgotten", async () => {
  const before = await platform.now();
  expect(await bypass()).toMatchObject({ status: "Succeeded", result: { before: "live" } });
  expect(exchangeWrites(await platform.record(before), contoso)).toEqual([]);
});

test("whoever is bypassed is neither onboarded nor promoted, and a plan finds its rules as they should be", async () => {
  await expect(platform.start(contoso)).rejects.toMatchObject({
    code: "TenantBypassed",
    message: expect.stringContaining(`/api/tenants/${tenantId}/restore`),
  });
  await expect(platform.northwind.startPromotion({ tenantId })).rejects.toMatchObject({ code: "NotPiloted" });
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  const rulesPlanned = plan.resources.filter(({ kind }) => kind.endsWith("Rule"));
  expect(rulesPlanned.length).toBeGreaterThanOrEqual(5);
  expect(rulesPlanned.filter(({ action }) => action !== "none")).toEqual([]);
});

test("a gateway that is still dead gets no mail back, and says which it is", async () => {
  const before = await platform.now();
  const refused = await restore();
  expect(refused).toMatchObject({ status: "Failed", error: { code: "NotRecovered" } });
  expect(refused.error?.message).toContain(`${tenantId}-gateway-1 is stopped`);
  expect(exchangeWrites(await platform.record(before), contoso)).toEqual([]);
  expect((await tenant()).stage).toBe("bypassed");
});

test("well again, two writes lead everybody back, after a probe mail has come through, and the rules are what they were", async () => {
  await power("running");
  const before = await platform.now();
  const restored = await restore();
  expect(restored.error).toBeUndefined();
  expect(restored).toMatchObject({ kind: "restore", status: "Succeeded", result: { stage: "live" } });
  expect(restored.steps.map(({ name, status }) => `${name}: ${status}`)).toEqual([
    "recovered: Succeeded",
    "inboundConnectorReadBack: Succeeded",
    "approvalRuleReadBack: Succeeded",
    "startTls: Succeeded",
    "probeSpared: Succeeded",
    "probeMail: Succeeded",
    "bypassRule: Succeeded",
  ]);
  expect(exchangeWrites(await platform.record(before), contoso)).toEqual(["Set-TransportRule", "Remove-TransportRule"]);
  expect(await rules()).toEqual(rulesBefore);
  expect(await tenant()).toMatchObject({ stage: "live" });
  expect((await tenant()).conditions).toEqual(
    expect.arrayContaining([expect.objectContaining({ type: "Ready", status: "True", reason: "Live" })]),
  );
  expect(await stream.one("after")).toBe("through");
});

test("of the mail that was sent all the while none was lost, none came twice, none was returned, and each step was said", async () => {
  const { through, around, unmarked } = await stream.end();
  expect(through).toBeGreaterThan(0);
  expect(around).toBeGreaterThan(0);
  expect(unmarked).toBe(0);
  expect((await said()).filter((type) => type.startsWith("tenant.mailflow"))).toEqual([
    "tenant.mailflow.bypassing",
    "tenant.mailflow.bypassed",
    "tenant.mailflow.bypassing",
    "tenant.mailflow.bypassed",
    "tenant.mailflow.restoring",
    "tenant.mailflow.restore.failed",
    "tenant.mailflow.restoring",
    "tenant.mailflow.restored",
  ]);
});

test("the gateway's door and the partner's lead all their tenants round and back, once for each Operation-Id", async () => {
  const gatewayId = `${tenantId}-gateway-1`;
  const headers = { "operation-id": crypto.randomUUID() };
  const ask = () => platform.northwind.startGatewayBypass({ gatewayId, body: { reason: "maintenance" } }, { headers });
  const [first] = (await ask()).body.value;
  const [second] = (await ask()).body.value;
  expect(first).toMatchObject({ tenantId, outcome: "accepted" });
  expect(second?.operation?.id).toBe(first?.operation?.id);
  expect(await platform.untilEndedOf("bypass", contoso)).toMatchObject({ id: first?.operation?.id, status: "Succeeded" });
  await expect(platform.tailspin.startGatewayBypass({ gatewayId, body: { reason: "not ours" } })).rejects.toMatchObject({
    code: "GatewayNotFound",
  });
  const restored = await platform.operator.startPartnerRestore({ partnerId: "northwind" });
  expect(restored.body.value).toEqual([expect.objectContaining({ tenantId, outcome: "accepted" })]);
  expect(await platform.untilEndedOf("restore", contoso)).toMatchObject({
    id: restored.body.value[0]?.operation?.id,
    status: "Succeeded",
  });
  expect((await tenant()).stage).toBe("live");
});

const byPolicy = async (kind: "bypass" | "restore") =>
  (await platform.northwind.listOperations({ tenantId })).body.value.filter(
    (operation) => operation.kind === kind && operation.id.startsWith("outage-"),
  );
/** Looks for outages again and again, until something is so. */
const looking = (seen: () => Promise<boolean>) =>
  expect
    .poll(
      async () => {
        await platform.fire("watchOutages");
        return seen();
      },
      { timeout: 240_000, interval: 2000 },
    )
    .toBe(true);
const endOf = async (operationId = "") => platform.untilEnded((await platform.northwind.getOperation({ operationId })).body);
/** The policy's next operation of that kind, to its end. */
async function next(kind: "bypass" | "restore", known: number) {
  await looking(async () => (await byPolicy(kind)).length > known);
  const [begun] = await byPolicy(kind);
  return endOf(begun?.id);
}

test("by policy mail goes round a gateway that dies, and comes back once it has been well for a while", {
  timeout: 400_000,
}, async () => {
  stream = streamOfMail(platform, contoso);
  expect(await stream.one("before-the-outage")).toBe("through");
  const before = await platform.now();
  await power("stopped");
  expect(await next("bypass", 0)).toMatchObject({
    status: "Succeeded",
    result: { stage: "bypassed", before: "live", by: "policy", reason: expect.stringContaining("gateway-1 is stopped") },
  });
  expect(exchangeWrites(await platform.record(before), contoso)).toEqual(["New-TransportRule"]);
  expect(await stream.one("during-the-outage")).toBe("around");

  const mended = await platform.now();
  await power("running");
  expect(await next("restore", 0)).toMatchObject({ status: "Succeeded", result: { stage: "live" } });
  expect(exchangeWrites(await platform.record(mended), contoso)).toEqual(["Set-TransportRule", "Remove-TransportRule"]);
  expect(await rules()).toEqual(rulesBefore);
  expect(await stream.one("after-the-outage")).toBe("through");
});

test("with the last bypass that a day may have, mail stays round the gateway, and a person is asked; none was lost all the while", {
  timeout: 400_000,
}, async () => {
  await power("stopped");
  expect(await next("bypass", 1)).toMatchObject({ status: "Succeeded" });
  await power("running");
  await looking(async () => (await said()).includes("tenant.mailflow.policy.held"));
  expect(await byPolicy("restore")).toHaveLength(1);
  expect((await tenant()).stage).toBe("bypassed");
  const asked = async () =>
    (await platform.northwind.listTasks({ tenantId, kind: "restoreMail" })).body.value.map(({ state }) => state);
  expect(await asked()).toEqual(["open"]);

  expect(await restore()).toMatchObject({ status: "Succeeded", result: { stage: "live" } });
  await looking(async () => (await asked()).join() === "done");
  const { through, around, unmarked } = await stream.end();
  expect([through > 0, around > 0, unmarked]).toEqual([true, true, 0]);
  expect((await said()).filter((type) => type === "tenant.mailflow.policy.held")).toHaveLength(1);
});

test("whom a person leads round the gateway, the policy leaves there, also when it began", { timeout: 400_000 }, async () => {
  await power("stopped");
  expect(await next("bypass", 2)).toMatchObject({ status: "Succeeded", result: { by: "policy" } });
  const gatewayId = `${tenantId}-gateway-1`;
  const [mine] = (await platform.northwind.startGatewayBypass({ gatewayId, body: { reason: "maintenance" } })).body.value;
  expect(mine).toMatchObject({ outcome: "accepted" });
  expect(await endOf(mine?.operation?.id)).toMatchObject({
    status: "Succeeded",
    result: { by: "call" },
  });
  await power("running");
  const since = Date.now();
  await looking(async () => Date.now() - since > 65_000);
  expect(await byPolicy("restore")).toHaveLength(1);
  expect(await restore()).toMatchObject({ status: "Succeeded", result: { stage: "live" } });
});
