/**
 * High availability switched on for a gateway that stands, and off again, while its pilot goes on writing mail: none is lost, none comes
 * twice, none goes round and round, and none comes from an address that isn't accepted.
 */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

const tenant = customer("contoso", "fourthcoffee");
const { tenantId, spec } = tenant;
const pilot = spec.pilot.addresses[0] ?? "";
vi.setConfig({ testTimeout: 300_000 });
let platform: OnboardingPlatform;
let heartbeats: { stop(): void };
beforeAll(async () => {
  platform = await startOnboarding();
  heartbeats = startHeartbeats(platform.clouds.platform);
  expect((await platform.onboard(tenant)).error).toBeUndefined();
});
afterAll(async () => {
  heartbeats?.stop();
  await platform.stop();
});

const sent: string[] = [];
async function write(): Promise<void> {
  const subject = `letter ${sent.length + 1}`;
  const body = JSON.stringify({ from: pilot, to: [spec.microsoft365.probeMailbox], subject });
  const headers = { "content-type": "application/json" };
  const { status } = await fetch(`${platform.clouds.control}/mail`, { method: "POST", headers, body });
  expect(status).toBe(202);
  sent.push(subject);
}

/** Subjects of letters that came into the mailbox, and of reports that one did not. */
async function arrived(): Promise<{ letters: string[]; reports: string[] }> {
  const delivered = (await platform.record()).filter(
    ({ cloud, method, url }) => cloud === "exchange" && method === "DELIVER" && url.includes(spec.microsoft365.tenantId),
  );
  const subjects = delivered.map(({ requestBody }) => (requestBody as { subject: string }).subject);
  return {
    letters: subjects.filter((subject) => sent.includes(subject)),
    reports: subjects.filter((subject) => /undeliverable|delivery/i.test(subject)),
  };
}

/** Milliseconds between two letters. */
const A_WHILE = 2500;

async function changeTo(machines: number): Promise<Operation> {
  const gateway = { ...tenant.body.gateway, regions: [{ name: "westeurope", machines }] };
  await platform.northwind.putTenant({ tenantId, body: { ...tenant.body, gateway } });
  const started = await platform.start(tenant);
  const ended = platform.untilEnded(started);
  for (;;) {
    await write();
    const operation = await Promise.race([ended, pause(A_WHILE)]);
    if (operation) return operation;
  }
}

const inAzure = async (): Promise<string[]> => {
  const { resources } = (await platform.clouds.state("arm")) as { resources: { id: string; name: string; type: string }[] };
  return resources
    .filter(
      ({ id, type }) =>
        id.includes(spec.azure.subscriptionId) && /virtualMachines$|loadBalancers$|publicIP|Interfaces$/.test(type),
    )
    .map(({ name }) => name)
    .sort();
};

const single = ["gateway-1", "gateway-1-address", "gateway-1-interface"];
const pair = [...single, "gateway-2", "gateway-2-address", "gateway-2-interface", "gateway-balancer", "gateway-balancer-address"];

/** Of the writes to Exchange Online since then: which property had which values, in their order. */
const settings = async (since: number, cmdlet: string, property: string): Promise<unknown[]> =>
  (await platform.record(since)).flatMap(({ cloud, requestBody }) => {
    const { CmdletInput } = (requestBody ?? {}) as { CmdletInput?: { CmdletName: string; Parameters: Record<string, unknown> } };
    return cloud === "exchange" && CmdletInput?.CmdletName === cmdlet && property in CmdletInput.Parameters
      ? [CmdletInput.Parameters[property]]
      : [];
  });

async function eachCameOnce(): Promise<void> {
  const deadline = Date.now() + 20_000;
  while ((await arrived()).letters.length < sent.length && Date.now() < deadline) await pause(200);
  const { letters, reports } = await arrived();
  expect(letters.toSorted()).toEqual(sent.toSorted());
  expect(reports).toEqual([]);
}

test("switched on: everything accepts both addresses first, the smart host is swapped last", async () => {
  const { smartHosts: before } = (await platform.estate(tenant)).addresses;
  const plan = async () => {
    const { body } = await platform.northwind.planOnboarding({ tenantId });
    return body.resources.filter(({ action }) => action !== "none").map(({ name, action }) => `${action}: ${name}`);
  };
  expect(await plan()).toEqual([]);
  const since = await platform.now();
  const operation = await changeTo(2);
  expect(operation.error).toBeUndefined();
  expect(await inAzure()).toEqual(pair.toSorted());
  const { addresses } = await platform.estate(tenant);
  expect(addresses.inboundConnector).toHaveLength(2);
  const swaps = await settings(since, "Set-OutboundConnector", "SmartHosts");
  expect(new Set(swaps.map((hosts) => JSON.stringify(hosts)))).toEqual(
    new Set([
      JSON.stringify([...(addresses.smartHosts as string[]), ...(before as string[])].toSorted()),
      JSON.stringify(addresses.smartHosts),
    ]),
  );
  const order = operation.steps
    .filter(({ startedAt }) => startedAt !== undefined)
    .toSorted((one, other) => Date.parse(one.startedAt ?? "") - Date.parse(other.startedAt ?? ""))
    .map(({ name }) => name);
  for (const earlier of ["guardRule", "approvalRule", "inboundConnector", "connectionFilter", "loadBalancer", "guest-m2"])
    expect(order.indexOf(earlier), earlier).toBeLessThan(order.indexOf("bothSmartHosts"));
  expect(order.indexOf("smartHostsAnswer")).toBeLessThan(order.indexOf("smartHostsMoved"));
  expect(order.indexOf("smartHostsMoved")).toBeLessThan(order.indexOf("startTls"));
  await eachCameOnce();
  expect(await plan()).toEqual([]);
});

test("asked again, nothing is written", async () => {
  const before = await platform.now();
  expect((await platform.untilEnded(await platform.start(tenant))).error).toBeUndefined();
  expect(writes((await platform.record(before)).filter(({ cloud }) => cloud !== "mail"))).toEqual([]);
});

test("switched off: the machine that goes sends on what it has, then its address is no longer accepted, then it is removed", async () => {
  const gateway = { ...tenant.body.gateway, regions: [{ name: "westeurope", machines: 1 }] };
  await platform.northwind.putTenant({ tenantId, body: { ...tenant.body, gateway } });
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  expect(plan.resources.filter(({ action }) => action === "remove").map(({ name }) => name)).toEqual([
    "Connection filter: without addresses that go",
    "gateway-2 is removed",
    "gateway-2's network interface is removed",
    "gateway-2's public address is removed",
    "The load balancer in westeurope is removed",
    "The load balancer's address in westeurope is removed",
  ]);
  const operation = await changeTo(1);
  expect(operation.error).toBeUndefined();
  expect(await inAzure()).toEqual(single);
  const { addresses, publicIpAddress } = await platform.estate(tenant);
  expect(addresses).toMatchObject({
    smartHosts: [publicIpAddress?.fqdn],
    inboundConnector: [publicIpAddress?.address],
    connectionFilter: [publicIpAddress?.address],
  });
  expect(operation.result).toMatchObject({ smartHosts: [publicIpAddress?.fqdn], egressIps: [publicIpAddress?.address] });
  const { value } = (await platform.northwind.listGateways({})).body;
  expect(value.filter((one) => one.tenantId === tenantId)).toHaveLength(1);
  const order = operation.steps.map(({ name }) => name);
  expect(order.indexOf("drained-m2")).toBeLessThan(order.indexOf("inboundConnectorNarrowed"));
  expect(order.indexOf("approvalRuleNarrowed")).toBeLessThan(order.indexOf("dropVm-m2"));
  expect(operation.steps.filter(({ status }) => status !== "Succeeded").map(({ name }) => name)).toEqual(["availabilitySet"]);
  await eachCameOnce();
  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(again.error).toBeUndefined();
  expect(again.steps.map(({ name }) => name)).not.toContain("drained-m2");
  expect(writes((await platform.record(before)).filter(({ cloud }) => cloud !== "mail"))).toEqual([]);
});

everyBodyFits(() => platform.record());
