/** From an onboarded machine to its partner: the task that the document installed reports, and a GET shows it. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Post, startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import { heartbeatInputSchema } from "../../shared/api/heartbeat.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

const contoso = customer("contoso");
const gatewayId = `${contoso.tenantId}-gateway-1`;
let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding({ settings: { HEARTBEAT_INTERVAL: "PT1S" } });
  expect(await platform.onboard(contoso)).toMatchObject({ status: "Succeeded" });
});
afterAll(() => platform.stop());

const REFUSED =
  "550 5.7.606 <customer@outside.example> banned sending IP. To request removal from this list please visit https://sender.office.com/";

const guests = () => platform.clouds.platform.collection<GuestState>("arm.guests");
const change = (alter: (state: GuestState) => void): void => {
  for (const [key, state] of guests().entries()) {
    const changed = structuredClone(state);
    alter(changed);
    guests().set(key, changed);
  }
};
const shown = async () => (await platform.northwind.getGateway({ gatewayId })).body.heartbeat;
const beats = (post?: Post) => startHeartbeats(platform.clouds.platform, post);

test("queue, services, certificate, probe and the applied document reach the partner", async () => {
  // Nobody could tell yet what came of a restart.
  await expect(platform.northwind.startSmtpRestart({ gatewayId })).rejects.toMatchObject({ code: "GatewayNotReporting" });
  const running = beats();
  try {
    await vi.waitUntil(shown, { timeout: 25_000, interval: 250 });
  } finally {
    running.stop();
  }
  expect(await shown()).toMatchObject({
    queue: { count: 0, oldestAgeInSeconds: null },
    badmail: { count: 0 },
    services: [{ name: "SMTPSVC", state: "Running" }],
    certificate: { selfSigned: true, thumbprint: expect.stringMatching(/^[0-9A-F]{40}$/) },
    probe: { stage: "RCPT", reply: "250 2.1.5 Recipient OK", host: expect.stringContaining("mail.protection.outlook") },
    applied: { generation: 1, part: 1 },
    scanners: [],
    readings: [{ queue: 0, badmail: 0 }],
  });
});

test("what Microsoft 365 refuses of the machine's mail is told by its code, once, and nobody's address with it", async () => {
  const { clouds } = platform;
  const source = (await platform.northwind.getGateway({ gatewayId })).body.address;
  await clouds.fault("mail", { kind: "reply", phase: "recipient", reply: REFUSED }, { path: `source=${source}` });
  const organization = contoso.spec.microsoft365.tenantId;
  const [from = ""] = contoso.spec.pilot.addresses;
  const subject = "refused by its code";
  const mime = `From: ${from}\r\nTo: customer@outside.example\r\nSubject: ${subject}\r\n\r\n`;
  await clouds.platform.peers.submitMail?.(organization, { envelopeFrom: from, recipients: ["customer@outside.example"], mime });
  const bodies: string[] = [];
  const log = () =>
    guests()
      .values()
      .flatMap(({ virtualMachineId }) => clouds.platform.peers.smtpLog?.(virtualMachineId) ?? []);
  await vi.waitUntil(() => log().length > 0, { timeout: 25_000, interval: 100 });
  const running = beats(async (_url, init) => {
    bodies.push(init.body);
    return new Response();
  });
  try {
    await vi.waitUntil(() => bodies.length > 1, { timeout: 25_000, interval: 100 });
  } finally {
    running.stop();
  }
  const refused = bodies.map((body) => heartbeatInputSchema.parse(JSON.parse(body)).refused);
  expect(refused.slice(0, 2)).toEqual([[{ reply: "550 5.7.606", count: 1, lastAt: expect.stringMatching(/Z$/) }], []]);
  expect(JSON.stringify(refused)).not.toMatch(/@|outside|sender\.office/);
});

test("the SMTP service is restarted on request, once, and the machine's next heartbeat says so", async () => {
  const { northwind, clouds, untilEnded } = platform;
  const restarts = () =>
    guests()
      .values()
      .map((state) => state.restarts["SMTPSVC"] ?? 0);
  change((state) => {
    if (state.services["SMTPSVC"]) state.services["SMTPSVC"].state = "Stopped";
  });
  const [before = 0] = restarts();
  const ask = async () =>
    (await northwind.startSmtpRestart({ gatewayId }, { headers: { "operation-id": "restart-asked-for-once" } })).body;
  const operation = await ask();
  const running = beats();
  try {
    expect(await untilEnded(operation)).toMatchObject({
      kind: "smtpRestart",
      status: "Succeeded",
      result: { service: "Running", queue: 0 },
      steps: [
        { name: "smtpRestart", status: "Succeeded", change: "updated" },
        { name: "heartbeat", status: "Succeeded" },
      ],
    });
  } finally {
    running.stop();
  }
  expect(restarts()).toEqual([before + 1]);
  const { value: events } = (await northwind.listEvents({ tenantId: contoso.tenantId })).body;
  const told = events.filter(({ type }) => type.startsWith("gateway.smtp.")).map(({ type, subject }) => [type, subject]);
  expect(told).toEqual([
    ["gateway.smtp.restarted", gatewayId],
    ["gateway.smtp.restarting", gatewayId],
  ]);
  const { value: log } = (await northwind.listAudit({ tenantId: contoso.tenantId, operationId: operation.id })).body;
  expect(log.map(({ action, target, outcome }) => [action, target.kind, outcome])).toEqual(
    expect.arrayContaining([
      ["startSmtpRestart", "gateway", "Succeeded"],
      ["update", "smtpService", "Succeeded"],
    ]),
  );
  const runs = (await clouds.requests("arm")).filter(({ method, url }) => method === "PUT" && url.includes("/gatehouse-smtp-"));
  expect(runs).toHaveLength(1);

  expect(await ask()).toMatchObject({ id: operation.id, status: "Succeeded" });
  await expect(northwind.startSmtpRestart({ gatewayId })).rejects.toMatchObject({ code: "RestartTooSoon", status: 409 });
  expect(restarts()).toEqual([before + 1]);
});

test("what is wrong inside shows: a stopped service, a scanner, another certificate; and one who must not report is refused", async () => {
  change((state) => {
    if (state.services["SMTPSVC"]) state.services["SMTPSVC"].state = "Stopped";
    state.services["SophosAgent"] = { startType: "Automatic", state: "Running" };
    state.certificates = [];
  });
  const bodies: unknown[] = [];
  const running = beats(async (url, init) => {
    bodies.push(JSON.parse(init.body));
    return fetch(url.replace(gatewayId, `${contoso.tenantId}-gateway-9`), init);
  });
  const refused = async () => (await platform.record()).some(({ method, status }) => method === "HEARTBEAT" && status === 404);
  try {
    await vi.waitUntil(refused, { timeout: 25_000, interval: 250 });
  } finally {
    running.stop();
  }
  expect(heartbeatInputSchema.parse(bodies[0])).toMatchObject({
    services: [{ name: "SMTPSVC", state: "Stopped" }],
    certificate: null,
    scanners: ["SophosAgent"],
  });
});

test("a machine whose task somebody disabled stays silent", async () => {
  change((state) => {
    for (const task of Object.values(state.tasks)) task.enabled = false;
  });
  let posted = 0;
  const running = beats(async () => {
    posted += 1;
    return new Response();
  });
  await vi.waitUntil(() => new Promise((resolve) => setTimeout(() => resolve(true), 2500)), { timeout: 10_000 });
  running.stop();
  expect(posted).toBe(0);
});
