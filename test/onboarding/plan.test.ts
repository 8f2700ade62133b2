/** A plan says what onboarding would do, found out by reading only. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Connector, TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import { ApiError } from "../../shared/api/client.ts";
import type { Plan } from "../../shared/api/plan.ts";
import { customer, type OnboardingPlatform, type SpecInput, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
const contoso = customer("contoso");
const { tenantId } = contoso;
beforeAll(async () => {
  platform = await startOnboarding();
  await platform.organize(contoso);
  await platform.register(contoso);
});
afterAll(() => platform.stop());

/** A plan, and that it wrote nothing anywhere. */
const planned = async (input?: { operation?: Plan["operation"]; spec?: SpecInput }): Promise<Plan> => {
  const before = await platform.now();
  const { body } = await platform.northwind.planOnboarding({ tenantId, ...(input && { body: input }) });
  expect(writes(await platform.record(before))).toEqual([]);
  return body;
};
const actionsOf = ({ resources }: Plan): Record<string, string[]> =>
  Object.fromEntries(
    [...Map.groupBy(resources, ({ action }) => action)].map(([action, all]) => [action, all.map(({ kind }) => kind)]),
  );

const inAzure = [
  "resourceGroup",
  "vmIdentity",
  "vault",
  "roleAssignment",
  "roleAssignment",
  "publicIpAddress",
  "networkSecurityGroup",
  "virtualNetwork",
  "networkInterface",
  "gatewayVm",
  "guest",
];
const inMicrosoft365 = [
  "webClientApplication",
  "inboundConnector",
  "outboundConnector",
  "connectionFilter",
  "guardRule",
  "approvalRule",
  "stripRule",
  "forwardingRule",
];

test("before consent the Microsoft 365 part can't be known, and the plan says what is missing", async () => {
  const plan = await planned();
  expect(actionsOf(plan)).toEqual({ create: inAzure, unknown: inMicrosoft365 });
  expect(plan.findings).toEqual([
    expect.objectContaining({ code: "ConsentRequired", severity: "warning", remedy: expect.stringContaining("/consent") }),
    expect.objectContaining({ code: "DiskCostsMore", severity: "information" }),
    expect.objectContaining({ code: "FixedOnceMade", severity: "warning", message: expect.stringContaining("(westeurope)") }),
  ]);
  expect(plan.tasks).toEqual([
    expect.objectContaining({ kind: "consent", waits: true, remedy: expect.stringContaining("/consent") }),
  ]);
  // Two propagations of fifteen minutes, each followed by a mail; the machine is built during the first.
  expect(plan).toMatchObject({ operation: "onboarding", estimatedDuration: expect.stringMatching(/^PT3[2-9]M/) });
});

test("after consent everything is to be created, and the same plan has the same hash", async () => {
  const stale = await planned();
  await platform.clouds.consent(contoso.watched.organization);
  // The roles that consent gave are in no token at once, and Exchange Online knows of them later still.
  const settling = ["ConsentRequired", "MailFlowNotRead"];
  let plan = await planned();
  while (plan.findings.some(({ code }) => settling.includes(code))) plan = await planned();
  expect(actionsOf(plan)).toEqual({ create: [...inAzure, ...inMicrosoft365] });
  expect(plan.findings.map(({ code }) => code)).toEqual(["DiskCostsMore", "FixedOnceMade"]);
  expect(await planned()).toEqual(plan);

  const refused = platform.northwind.startOnboarding({ tenantId, body: { plan: stale.hash } });
  await expect(refused).rejects.toBeInstanceOf(ApiError);
  await expect(refused).rejects.toMatchObject({
    status: 409,
    code: "PlanOutdated",
    details: expect.arrayContaining([
      expect.objectContaining({
        code: "ResourceChanged",
        target: "Inbound connector: gateway to Microsoft 365",
        message: "was: unknown, it can be read once admin consent is granted; is: create",
      }),
      expect.objectContaining({ code: "FindingChanged", target: "ConsentRequired" }),
    ]),
  });
  expect((await platform.northwind.getTenant({ tenantId })).body.stage).toBe("registered");
});

test("onboarded by that plan, nothing is left to do", async () => {
  const { hash } = await planned();
  const operationId = `planned-${tenantId}`;
  const start = () =>
    platform.northwind.startOnboarding({ tenantId, body: { plan: hash } }, { headers: { "operation-id": operationId } });
  const { body } = await start();
  expect((await platform.untilEnded(body)).error).toBeUndefined();
  const plan = await planned();
  expect(actionsOf(plan)).toEqual({ none: [...inAzure, ...inMicrosoft365] });
  expect(plan).toMatchObject({ estimatedDuration: "PT0S", tasks: [] });
  // The world is another one by now, and the operation the same.
  expect((await start()).body).toMatchObject({ id: operationId, status: "Succeeded" });
});

test("a change of spec is planned without storing it, and its plan holds once it is stored", async () => {
  const wanted = { ...contoso.body, pilot: { ...contoso.body.pilot, incoming: true } };
  const plan = await planned({ spec: wanted });
  expect(actionsOf(plan)).toMatchObject({ create: ["incomingForwardingRule"] });
  expect((await platform.northwind.getTenant({ tenantId })).body.spec.pilot.incoming).toBeUndefined();
  const early = platform.northwind.startOnboarding({ tenantId, body: { plan: plan.hash } });
  await expect(early).rejects.toMatchObject({
    code: "PlanOutdated",
    details: expect.arrayContaining([{ code: "SpecChanged", target: "pilot", message: expect.any(String) }]),
  });
  await platform.northwind.putTenant({ tenantId, body: wanted });
  expect((await planned()).hash).toBe(plan.hash);
  await platform.northwind.putTenant({ tenantId, body: contoso.body });

  const elsewhere = { ...contoso.body, gateway: { ...contoso.body.gateway, regions: [{ name: "northeurope" }] } };
  await expect(planned({ spec: elsewhere })).rejects.toMatchObject({
    code: "TenantInUse",
    message: expect.stringContaining("its regions stay"),
  });
  await expect(planned({ operation: "promotion", spec: wanted })).rejects.toMatchObject({ code: "InvalidRequest" });
});

test("a plan is of one operation, and of one partner", async () => {
  const { hash } = await planned();
  const others = platform.northwind.startPromotion({ tenantId, body: { plan: hash } });
  await expect(others).rejects.toMatchObject({ code: "PlanOutdated", message: expect.stringContaining("(onboarding)") });
  await expect(platform.tailspin.planOnboarding({ tenantId })).rejects.toMatchObject({ code: "TenantNotFound" });
  const unknown = platform.northwind.startOnboarding({ tenantId, body: { plan: "nobody-made-it" } });
  await expect(unknown).rejects.toMatchObject({
    code: "PlanOutdated",
    message: expect.stringContaining("no plan with this hash"),
  });
});

test("a plan asks Exchange Online once, for all that it shows of the mail flow", async () => {
  const before = await platform.now();
  const { checks } = await planned();
  const asked = (await platform.record(before)).filter(({ cloud }) => cloud === "exchange");
  expect(asked.map(({ url }) => new URL(url).pathname.split("/").at(-1))).toEqual(["$batch"]);
  const found = checks.map(({ code, status }) => [code, status]);
  for (const code of [
    "EgressAddressShared",
    "SenderNotLicensed",
    "SendingLimitReached",
    "TransportRulesFull",
    "RulePatternsFull",
  ])
    expect(found).toContainEqual([code, "pass"]);
});

test("what in the organisation meets the mail flow is told with its remedy, and kept on the tenant by the next onboarding", async () => {
  const rules = platform.clouds.platform.collection<TransportRule>("exchange.transport-rules");
  const { organization } = contoso.watched;
  const settings = { StopRuleProcessing: true, SetHeaderName: "X-Theirs", SetHeaderValue: "1" };
  const when = { whenCreated: "2026-01-01T00:00:00Z", whenChanged: "2026-01-01T00:00:00Z" };
  for (const [key, rule] of rules.entries())
    if (rule.tenantId === organization) rules.set(key, { ...rule, priority: rule.priority + 1 });
  const theirs = {
    tenantId: organization,
    guid: "7e1e0000-0000-4000-8000-000000000001",
    name: "Theirs",
    priority: 0,
    enabled: true,
  };
  rules.set(`${organization}/${theirs.guid}`, { ...theirs, mode: "Enforce", settings, ...when });
  const relayed = { acceptedDomains: { "contoso.example": "InternalRelay" as const } };
  await platform.clouds.organize({ tenantId: organization, exchange: { rejectDirectSend: true, ...relayed } });

  const plan = await planned();
  expect(plan.findings.map(({ code, severity }) => `${severity} ${code}`)).toEqual([
    "warning RuleAboveStops",
    "information DirectSendRejected",
    "warning AcceptedDomainNotAuthoritative",
  ]);
  const ended = await platform.untilEnded((await platform.northwind.startOnboarding({ tenantId })).body);
  expect(ended).toMatchObject({ status: "Succeeded", result: { findings: plan.findings } });
  const { conditions } = (await platform.northwind.getTenant({ tenantId })).body;
  expect(conditions.find(({ type }) => type === "MailFlowUndisturbed")).toMatchObject({
    status: "False",
    reason: "RuleAboveStops",
    message: expect.stringContaining('"Theirs" (priority 0)'),
  });
  rules.delete(`${organization}/${theirs.guid}`);
  await platform.clouds.organize({ tenantId: organization, exchange: { rejectDirectSend: false, acceptedDomains: {} } });
});

test("what somebody changed by hand is shown property by property; a stranger's object blocks", async () => {
  const connectors = platform.clouds.platform.collection<Connector>("exchange.inbound-connectors");
  const [key = "", connector] = connectors.entries()[0] ?? [];
  if (!connector) throw new Error("there is no inbound connector");
  const ours = connector.settings["SenderIPAddresses"];
  connectors.set(key, { ...connector, settings: { ...connector.settings, SenderIPAddresses: ["198.51.100.7"] } });
  expect((await planned()).resources.filter(({ action }) => action !== "none")).toEqual([
    expect.objectContaining({
      kind: "inboundConnector",
      action: "update",
      changes: [{ path: expect.stringMatching(/addresses|ips/i), from: ["198.51.100.7"], to: ours }],
    }),
  ]);

  connectors.set(key, { ...connector, settings: { ...connector.settings, Comment: "somebody else's" } });
  expect((await planned()).resources.filter(({ action }) => action !== "none")).toEqual([
    expect.objectContaining({ kind: "inboundConnector", action: "blocked", reason: expect.stringContaining("ForeignObject") }),
  ]);
});
