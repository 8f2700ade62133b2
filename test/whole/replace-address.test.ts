/** A gateway's public address is replaced, and the former one taken back, while mail goes on all the while: none is lost, returned or led round. */
import { afterAll, beforeAll, expect, onTestFailed, test } from "vitest";
import { startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import { changeList } from "../support/blocklists.ts";
import { streamOfMail } from "../support/mail-stream.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

const A_SECOND = 1000;
let platform: OnboardingPlatform;
let heartbeats: { stop(): void };
const contoso = customer("contoso");
const twins = customer("contoso", "adatum", { regions: [{ name: "westeurope", machines: 2 }] });
beforeAll(async () => {
  // Mail that waits is tried again in modelled minutes: at this tempo a day of it is longer than the test.
  platform = await startOnboarding({ tempo: 0.001, settings: { ADDRESS_SETTLE: "PT2S", ADDRESS_RELEASE_AFTER: "PT30M" } });
  await changeList(platform.clouds, "psbl.surriel.com", {});
  heartbeats = startHeartbeats(platform.clouds.platform);
  await live(contoso);
}, 240_000);
afterAll(async () => {
  heartbeats.stop();
  await platform.stop();
});

async function live(one: Customer): Promise<void> {
  expect((await platform.onboard(one)).error).toBeUndefined();
  const promotion = (await platform.northwind.startPromotion({ tenantId: one.tenantId })).body;
  expect((await platform.untilEnded(promotion)).error).toBeUndefined();
}

const gatewayOf = async (gatewayId: string) => (await platform.northwind.getGateway({ gatewayId })).body;
const differences = async ({ tenantId }: Customer) => (await platform.northwind.lookForDriftNow({ tenantId })).body.differences;
const replace = async (gatewayId: string, body: { back?: true; plan?: string; reason?: string }) =>
  platform.untilEnded((await platform.northwind.startAddressReplacement({ gatewayId, body })).body);

test("what was planned is done, and back again: every mail came through the gateway, once", async () => {
  const { tenantId } = contoso;
  const gatewayId = `${tenantId}-gateway-1`;
  const before = await gatewayOf(gatewayId);
  const stream = streamOfMail(platform, contoso, A_SECOND);
  onTestFailed(async () => void (await stream.end()));
  expect(await stream.one("before")).toBe("through");

  const plan = (await platform.northwind.planOnboarding({ tenantId, body: { operation: "addressReplacement" } })).body;
  // Of the guest a document is made, which is a new one each time.
  const made = plan.resources.filter(({ action }) => action === "create").map(({ kind }) => kind);
  expect(made).toEqual(["publicIpAddress", "guest"]);
  expect(plan.findings.map(({ code }) => code)).toEqual(["GatewayInterrupted", "GatewayRenamed"]);
  const theirs = platform.tailspin.startAddressReplacement({ gatewayId });
  await expect(theirs).rejects.toMatchObject({ status: 404, code: "GatewayNotFound" });

  const done = await replace(gatewayId, { plan: plan.hash, reason: "a list keeps it" });
  expect([done.status, done.error]).toEqual(["Succeeded", undefined]);
  const after = await gatewayOf(gatewayId);
  expect(after.address).not.toBe(before.address);
  expect(done.result).toMatchObject({ address: after.address, name: after.fqdn, former: before.address });
  expect((await platform.estate(contoso)).addresses).toMatchObject({
    inboundConnector: [after.address],
    connectionFilter: [after.address],
    smartHosts: [after.fqdn],
  });
  expect(await stream.one("after")).toBe("through");
  expect(await differences(contoso)).toEqual([]);
  const outdated = platform.northwind.startAddressReplacement({ gatewayId, body: { plan: plan.hash } });
  await expect(outdated).rejects.toMatchObject({ code: "PlanOutdated" });

  const back = await replace(gatewayId, { back: true });
  expect([back.status, back.error]).toEqual(["Succeeded", undefined]);
  expect(await gatewayOf(gatewayId)).toMatchObject({ address: before.address, fqdn: before.fqdn });
  expect(await stream.one("back")).toBe("through");
  expect(await differences(contoso)).toEqual([]);
  const { through, ...others } = await stream.end();
  expect(through).toBeGreaterThan(5);
  expect(others).toEqual({ around: 0, unmarked: 0 });
}, 600_000);

test("behind a load balancer one machine's mail comes from another address, and mail goes where it went", async () => {
  await live(twins);
  const gatewayId = `${twins.tenantId}-gateway-2`;
  const before = await platform.estate(twins);
  const former = (await gatewayOf(gatewayId)).address;
  const stream = streamOfMail(platform, twins, A_SECOND);
  onTestFailed(async () => void (await stream.end()));
  expect(await stream.one("balanced-before")).toBe("through");
  const done = await replace(gatewayId, {});
  expect([done.status, done.error]).toEqual(["Succeeded", undefined]);
  const { address } = await gatewayOf(gatewayId);
  const now = await platform.estate(twins);
  expect(now.addresses.smartHosts).toEqual(before.addresses.smartHosts);
  const accepted = JSON.stringify(now.addresses.inboundConnector);
  expect([accepted.includes(address), accepted.includes(former)]).toEqual([true, false]);
  expect(await stream.one("balanced-after")).toBe("through");
  expect(await differences(twins)).toEqual([]);
  const { through, ...others } = await stream.end();
  expect(through).toBeGreaterThan(3);
  expect(others).toEqual({ around: 0, unmarked: 0 });
}, 600_000);
