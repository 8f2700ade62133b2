/** Heartbeats over the wire: only the machine's own identity may report for it, what it says is checked, and its partner sees it. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HeartbeatInput, Level } from "../../shared/api/heartbeat.ts";
import { createHeartbeatStore } from "../../shared/stores/heartbeats.ts";
import { ownStorage } from "../support/own-storage.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";
import { customer } from "../support/onboarding.ts";
import { nextFindings } from "../../functions/gateways/report.ts";
import { testStores, unique } from "../support/stores.ts";

const heartbeat: HeartbeatInput = {
  version: 1,
  sentAt: "2026-11-22T08:00:00Z",
  queue: { count: 3, oldestAgeInSeconds: 40 },
  badmail: { count: 0, oldestAgeInSeconds: null },
  services: [{ name: "SMTPSVC", state: "Running" }],
  certificate: { thumbprint: "A".repeat(40), notAfter: "2027-11-22T08:00:00Z", selfSigned: true },
  probe: {
    at: "2026-11-22T07:55:00Z",
    host: "contoso-example.mail.protection.outlook.com",
    stage: "RCPT",
    reply: "250 2.1.5 Recipient OK",
  },
  applied: { generation: 2, part: 1 },
  scanners: [],
};

let api: TestApi;
let owner: TestPartner;
let stranger: TestPartner;
const entraTenantId = randomUUID();
const clientId = randomUUID();
const virtualMachineId = "/subscriptions/s/resourceGroups/contoso/providers/Microsoft.Compute/virtualMachines/gateway-1";
const identityId = "/subscriptions/s/resourceGroups/contoso/providers/Microsoft.ManagedIdentity/userAssignedIdentities/gateway";

beforeAll(async () => {
  api = await startApi();
  [owner, stranger] = [await api.partner(), await api.partner()];
  const { partnerId } = owner;
  const registration = { partnerId, tenantId: "contoso", virtualMachineId, entraTenantId };
  await api.world.stores.gateways.put({
    ...registration,
    subscriptionId: randomUUID(),
    address: "203.0.113.10",
    fqdn: "contoso.westeurope.cloudapp.azure.example",
    region: "westeurope",
    state: { health: "healthy", reason: "LoopProven" },
  });
  await api.world.stores.heartbeats.register({ ...registration, gatewayId: "contoso-gateway-1", clientId });
});
afterAll(() => api.stop());

interface Identity {
  tid?: string;
  azp?: string;
  xms_mirid?: string | undefined;
  xms_az_rid?: string;
}

const post = async (identity: Identity = {}, body: unknown = heartbeat, vmId = `${owner.partnerId}.contoso-gateway-1`) => {
  const token = await api.issuer.token({ tid: entraTenantId, azp: clientId, xms_mirid: identityId, ...identity });
  const response = await api.request("POST", `/api/agents/${vmId}/heartbeat`, { token, body });
  const answer = (await response.json()) as { error?: { code: string; message: string; details?: { target: string }[] } };
  return { status: response.status, code: answer.error?.code, error: answer.error };
};

test("a machine reports, and its partner sees what it said last and how the day was", async () => {
  expect(await post()).toMatchObject({ status: 202 });
  expect(
    await post({ xms_az_rid: virtualMachineId.toUpperCase() }, { ...heartbeat, queue: { count: 7, oldestAgeInSeconds: 90 } }),
  ).toMatchObject({
    status: 202,
  });
  const { body } = await owner.api.getGateway({ gatewayId: "contoso-gateway-1" });
  expect(body.heartbeat).toMatchObject({
    ...heartbeat,
    queue: { count: 7, oldestAgeInSeconds: 90 },
    receivedAt: expect.any(String),
  });
  expect(body.heartbeat?.readings.at(-1)).toMatchObject({ queue: 7, badmail: 0, oldestAgeInSeconds: 90, reply: "250 2.1.5" });
  expect(JSON.stringify(body)).not.toContain(clientId);
});

test.each([
  [undefined, [0, 24, 25, 49, 50], ["information", "information", "warning", "warning", "error"]],
  [{ queue: { warning: 2, error: 4 } }, [1, 2, 3, 4, 5], ["information", "warning", "warning", "error", "error"]],
])(
  "what its counts mean follows the spec, where a threshold belongs to the higher level: %j",
  async (monitoring, counts, levels) => {
    const { partnerId, api: partner } = owner;
    const tenant = customer("contoso", "contoso", monitoring === undefined ? {} : { iqSuite: { monitoring } });
    const known = await api.world.stores.tenants.find(partnerId, "contoso");
    if (known) await api.world.stores.tenants.delete(known);
    await api.world.stores.tenants.add(partnerId, "contoso", tenant.spec);
    const told: unknown[] = [];
    for (const count of counts) {
      await post({}, { ...heartbeat, queue: { count, oldestAgeInSeconds: 1 }, badmail: { count: 10, oldestAgeInSeconds: 1 } });
      const { body } = await partner.getGateway({ gatewayId: "contoso-gateway-1" });
      told.push(body.heartbeat?.levels.queue);
      expect(body.heartbeat?.levels.badmail).toBe("warning");
    }
    expect(told).toEqual(levels);
  },
);

test("without an SMTP server there is nothing to judge", async () => {
  await post({}, { ...heartbeat, queue: null, badmail: null });
  const { body } = await owner.api.getGateway({ gatewayId: "contoso-gateway-1" });
  expect(body.heartbeat?.levels).toEqual({ queue: null, badmail: null });
});

describe("refused, and told why", () => {
  const refused: [string, Identity, number, string][] = [
    ["another machine's identity", { azp: randomUUID() }, 404, "AgentNotFound"],
    ["the identity's client id in another Entra tenant", { tid: randomUUID() }, 404, "AgentNotFound"],
    ["the shared identity, from another machine", { xms_az_rid: `${virtualMachineId}0` }, 404, "AgentNotFound"],
    ["an application that is no managed identity", { xms_mirid: undefined }, 403, "RoleRequired"],
  ];
  test.each(refused)("%s", async (_who, identity, status, code) => {
    expect(await post(identity)).toMatchObject({ status, code });
  });

  test("a machine that isn't registered, in the words for somebody else's", async () => {
    const absent = await post({}, heartbeat, `${owner.partnerId}.contoso-gateway-9`);
    const theirs = await post({ azp: clientId, tid: randomUUID() });
    expect([absent.status, absent.code]).toEqual([theirs.status, theirs.code]);
    expect(await post({}, heartbeat, `${stranger.partnerId}.contoso-gateway-1`)).toMatchObject({ status: 404 });
  });

  test("a partner's own token", async () => {
    const response = await api.request("POST", `/api/agents/${owner.partnerId}.contoso-gateway-1/heartbeat`, {
      token: owner.token,
      body: heartbeat,
    });
    expect(response.status).toBe(403);
  });

  const malformed: [string, unknown, string][] = [
    ["an unknown version", { ...heartbeat, version: 2 }, "version"],
    ["a negative count", { ...heartbeat, queue: { count: -1, oldestAgeInSeconds: null } }, "queue.count"],
    ["a control character in a reply", { ...heartbeat, probe: { ...heartbeat.probe, reply: "250 \u0007" } }, "probe.reply"],
    ["a reply without end", { ...heartbeat, probe: { ...heartbeat.probe, reply: "2".repeat(10_000) } }, "probe.reply"],
    ["no services", { ...heartbeat, services: undefined }, "services"],
  ];
  test.each(malformed)("%s", async (_what, body, target) => {
    const answer = await post({}, body);
    expect(answer).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect(answer.error?.details?.map((detail) => detail.target)).toEqual([target]);
  });

  test.each(["contoso", "a.b.c", `${"x".repeat(300)}.y`, "north wind.contoso-gateway-1"])("the path %s", async (vmId) => {
    expect(await post({}, heartbeat, encodeURIComponent(vmId))).toMatchObject({ status: 400 });
  });
});

test("the store keeps one reading each ten minutes, for a day, and a repeated registration changes nothing", async () => {
  let time = Date.UTC(2026, 10, 22);
  const store = testStores({ now: () => time }).heartbeats;
  const identity = { virtualMachineId, entraTenantId, clientId };
  const agent = { partnerId: unique("partner"), gatewayId: "contoso-gateway-1", tenantId: "contoso", ...identity };
  await store.register(agent);
  const well = { levels: {}, readingInSeconds: 600, judge: nextFindings };
  for (let minute = 0; minute < 26 * 60; minute += 30) {
    time = Date.UTC(2026, 10, 22) + minute * 60_000;
    await store.record(agent.partnerId, agent.gatewayId, heartbeat, well);
    const busier = { ...heartbeat, queue: { count: minute, oldestAgeInSeconds: 1 } };
    await store.record(agent.partnerId, agent.gatewayId, busier, well);
  }
  await store.register(agent);
  const kept = await store.find(agent.partnerId, agent.gatewayId);
  expect(kept?.readings).toHaveLength(48);
  expect(kept?.readings.at(-1)).toMatchObject({ queue: 25 * 60 + 30 });
  expect(kept?.last?.queue?.count).toBe(25 * 60 + 30);
  await expect(store.record(agent.partnerId, "nobody", heartbeat, well)).rejects.toMatchObject({ code: "AgentNotFound" });
});

test("whoever has been silent for too long, or has something to say, is found without reading the others", async () => {
  let time = Date.UTC(2026, 10, 22);
  const store = createHeartbeatStore(ownStorage(), { now: () => time });
  const partnerId = unique("partner");
  const agents = ["quiet", "well", "full"].map((gatewayId) => ({ partnerId, gatewayId, tenantId: "contoso", virtualMachineId }));
  for (const agent of agents) await store.register({ ...agent, entraTenantId, clientId });
  const beat = async (gatewayId: string, queue: Level) => {
    const levels = queue === "information" ? {} : { queue };
    await store.record(partnerId, gatewayId, heartbeat, { levels, readingInSeconds: 600, judge: nextFindings });
  };
  const found = async () => {
    const reports = await store.exceptions([partnerId, unique("nobody")], new Date(time - 30 * 60_000).toISOString());
    return Object.fromEntries(reports.map((report) => [report.gatewayId, report.findings.map(({ level }) => level).join()]));
  };
  const rounds: [Level, Record<string, string>][] = [
    ["error", { full: "warning" }],
    ["error", { full: "error" }],
    ["information", { full: "error" }],
    // Registered forty minutes ago and never heard.
    ["information", { full: "error", quiet: "" }],
    ["information", { quiet: "" }],
  ];
  for (const [level, expected] of rounds) {
    time += 10 * 60_000;
    await beat("well", "information");
    await beat("full", level);
    // A second one within the same ten minutes counts for nothing more.
    await beat("full", level);
    expect(await found()).toEqual(expected);
  }
  await store.forget(partnerId, "quiet");
  expect(await found()).toEqual({});
});
