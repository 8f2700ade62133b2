/** From the pilot to everybody and back: by mail that really travels, refused while a gateway is not well. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { headerValues, subjectOf } from "../../infra/local/clouds/mail/message.ts";
import type { Plan } from "../../shared/api/plan.ts";
import { violations } from "../support/invariants.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
let refusedOnce: string;
const contoso = customer("contoso");
const { tenantId } = contoso;
const { organization, domains } = contoso.watched;
const colleague = `somebody@${domains[0]}`;
beforeAll(async () => {
  platform = await startOnboarding();
  expect((await platform.onboard(contoso)).error).toBeUndefined();
  const known = platform.clouds.platform.organizations.get(organization);
  if (!known) throw new Error("contoso has no organisation");
  platform.clouds.platform.organizations.set(organization, { ...known, mailboxes: [...known.mailboxes, colleague] });
});
afterAll(() => platform.stop());

/** The header that the gateway adds, in a mail that a colleague who is no pilot sends to the pilot. */
async function sentByAnybody(subject: string): Promise<string[]> {
  const [pilot = ""] = contoso.spec.pilot.addresses;
  const mime = [
    `From: <${colleague}>`,
    `To: <${pilot}>`,
    `Subject: ${subject}`,
    `Message-ID: <${subject}@test.example>`,
    "",
    "Hello.",
    "",
  ];
  const message = { envelopeFrom: colleague, recipients: [pilot], mime: mime.join("\r\n") };
  await platform.clouds.platform.peers.submitMail?.(organization, message);
  const arrived = await vi.waitUntil(
    () => platform.clouds.platform.peers.messagesIn?.(organization, pilot)?.find((one) => subjectOf(one.mime) === subject),
    { timeout: 25_000, interval: 25 },
  );
  return headerValues(arrived.mime, "X-iqsuite-process");
}

/** What a change of stage would do, and that looking wrote nothing. */
async function planned(operation: "promotion" | "demotion"): Promise<Plan> {
  const before = await platform.now();
  const { body } = await platform.northwind.planOnboarding({ tenantId, body: { operation } });
  expect(writes(await platform.record(before))).toEqual([]);
  return body;
}
const actionsOf = ({ resources }: Plan): string[] => resources.map(({ kind, action }) => `${action} ${kind}`);

const stage = async () => (await platform.northwind.getTenant({ tenantId })).body.stage;

test("before its promotion, nobody but the pilot sends through the gateway", async () => {
  expect(await sentByAnybody("before")).toEqual([]);
});

test("a gateway that is not well keeps everybody's mail where it is, and says which", async () => {
  const machines = platform.clouds.platform.collection<{ facts: Record<string, unknown> }>(
    "arm.microsoft.compute/virtualmachines",
  );
  const [key, machine] = machines.entries().find(([id]) => id.includes(contoso.spec.azure.subscriptionId)) ?? [];
  if (key === undefined || !machine) throw new Error("contoso has no machine");
  const power = async (state: string, health: string): Promise<void> => {
    machines.set(key, { ...machine, facts: { ...machine.facts, power: state } });
    // Of everybody: the other sweep asks for exceptions only, so nothing on record would say that it runs again.
    await platform.fire("pollFleet");
    const seen = async () => (await platform.northwind.getGateway({ gatewayId: `${tenantId}-gateway-1` })).body.state.health;
    await vi.waitUntil(async () => (await seen()) === health, { timeout: 60_000, interval: 100 });
  };
  await power("stopped", "stopped");
  const refused = await platform.untilEnded((await platform.northwind.startPromotion({ tenantId })).body);
  expect(refused).toMatchObject({ status: "Failed", error: { code: "NotReadyForEverybody" } });
  expect(refused.error?.message).toContain(`${tenantId}-gateway-1 is stopped`);
  expect(await stage()).toBe("pilot");
  refusedOnce = refused.id;
  const plan = await planned("promotion");
  expect(plan.checks).toEqual([
    expect.objectContaining({
      code: "NotReadyForEverybody",
      status: "fail",
      message: `gateway ${tenantId}-gateway-1 is stopped`,
    }),
  ]);
  await power("running", "healthy");
  const outdated = platform.northwind.startPromotion({ tenantId, body: { plan: plan.hash } });
  await expect(outdated).rejects.toMatchObject({
    code: "PlanOutdated",
    details: [{ code: "CheckChanged", target: "NotReadyForEverybody", message: "was: fail; is: pass" }],
  });
});

test("tried again once that is over, everybody's mail goes through it, proven before and after", async () => {
  const operationId = refusedOnce;
  const plan = await planned("promotion");
  expect(actionsOf(plan)).toEqual(["none inboundConnector", "none approvalRule", "create domainForwardingRule"]);
  expect(plan).toMatchObject({ checks: [{ status: "pass" }], estimatedDuration: "PT17M10S" });
  const tried = await platform.northwind.retryOperation({ operationId });
  expect(tried).toMatchObject({ status: 202, body: { id: operationId, kind: "promotion", attempt: 2 } });
  const promoted = await platform.untilEnded(tried.body);
  expect(promoted.error).toBeUndefined();
  expect(promoted).toMatchObject({
    status: "Succeeded",
    kind: "promotion",
    attempt: 2,
    result: { stage: "live", domains, directions: ["outgoing"] },
  });
  expect(promoted.steps.map(({ name, status }) => `${name}: ${status}`)).toEqual([
    "ready: Succeeded",
    "inboundConnectorReadBack: Succeeded",
    "approvalRuleReadBack: Succeeded",
    "startTls: Succeeded",
    "probeMail: Succeeded",
    "domainForwardingRule: Succeeded",
    "liveProbeMail: Succeeded",
  ]);
  expect(await stage()).toBe("live");
  expect(await sentByAnybody("live")).toHaveLength(1);
  expect(promoted.steps.find(({ name }) => name === "ready")?.tries).toBeGreaterThanOrEqual(2);
  const moved = promoted.steps.find(({ name }) => name === "domainForwardingRule");
  expect(moved?.durationInSeconds).toBeGreaterThanOrEqual(0);
  const image = await platform.northwind.getBeforeImage({ operationId, step: "domainForwardingRule" });
  expect(image.body).toMatchObject({ change: "created", kind: "domainForwardingRule", before: { state: "absent" } });
  expect((await fetch(moved?.links?.beforeImage ?? "")).status).toBe(401);
  await expect(platform.northwind.retryOperation({ operationId })).rejects.toMatchObject({ code: "NothingToRetry" });
});

test("onboarded again it stays live, and nothing is written", async () => {
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(contoso));
  expect(again).toMatchObject({ status: "Succeeded", result: { stage: "live" } });
  expect(writes(await platform.record(before))).toEqual([]);
});

test("demoted, only the pilot's mail meets the gateway; promoting twice is promoting once", async () => {
  const plan = await planned("demotion");
  expect(actionsOf(plan)).toEqual(["remove domainForwardingRule"]);
  const demoted = await platform.untilEnded(
    (await platform.northwind.startDemotion({ tenantId, body: { plan: plan.hash } })).body,
  );
  expect(demoted.error).toBeUndefined();
  expect(demoted).toMatchObject({ status: "Succeeded", kind: "demotion", result: { stage: "pilot" } });
  expect(await sentByAnybody("demoted")).toEqual([]);
  for (const stageNow of ["live", "live"]) {
    await platform.untilEnded((await platform.northwind.startPromotion({ tenantId })).body);
    expect(await stage()).toBe(stageNow);
  }
  expect((await platform.estate(contoso)).exchange.transportRules.filter((name) => name.endsWith("domains"))).toHaveLength(1);
});

test("no safety invariant was violated, and who has no pilot can't be promoted", async () => {
  expect(violations(await platform.record(), contoso.watched)).toEqual([]);
  const fabrikam = customer("fabrikam");
  await platform.organize(fabrikam);
  await platform.register(fabrikam);
  const early = platform.northwind.startPromotion({ tenantId: fabrikam.tenantId });
  await expect(early).rejects.toMatchObject({ code: "NotPiloted" });
});
