/** Port 25 that Azure blocks although the spec says otherwise: the machine's own look finds it out, and the operation says so. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import { customer, customerOf, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

const { tenantId, body } = customer("contoso", "wideworld");
const tenant = customerOf(tenantId, { ...body, azure: { ...body.azure, outboundSmtpExempt: true } });
let platform: OnboardingPlatform;
let heartbeats: { stop(): void };
beforeAll(async () => {
  platform = await startOnboarding({ settings: { PROBE_DEADLINE: "PT15S" } });
  heartbeats = startHeartbeats(platform.clouds.platform);
});
afterAll(async () => {
  heartbeats?.stop();
  await platform.stop();
});

const offered = async (offer: string): Promise<void> => {
  const { domains, probeMailbox } = tenant.spec.microsoft365;
  const { tenantId: organization, subscriptionId } = tenant.spec.azure;
  const headers = { "content-type": "application/json" };
  const customerInClouds = { tenantId: organization, domains, mailboxes: [probeMailbox], subscriptionId, offer };
  const url = `${platform.clouds.control}/organizations`;
  const { status } = await fetch(url, { method: "POST", headers, body: JSON.stringify(customerInClouds) });
  expect(status).toBeLessThan(300);
};

test("nothing comes back: the error names the machine, whom it asked and the way out; nobody's mail was moved", async () => {
  await platform.organize(tenant);
  await platform.register(tenant);
  await offered("CSP");
  const failed = await platform.untilEnded(await platform.start(tenant));
  expect(failed).toMatchObject({
    status: "Failed",
    error: { code: "OutboundSmtpBlocked", target: "spec.azure.subscriptionId" },
  });
  expect(failed.error?.message).toMatch(
    /^port 25 is closed to the gateway, so no mail can come back and none was moved: gateway-1 to \S+\.mail\.protection\.outlook\S* on port 25: no connection; take a subscription/,
  );
  expect((await platform.estate(tenant)).addresses.forwarded).toEqual([tenant.spec.microsoft365.probeMailbox]);
});

test("once Azure has opened it, the same onboarding completes", async () => {
  await offered("EnterpriseAgreement");
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation.error).toBeUndefined();
  expect(operation.result).toMatchObject({ stage: "pilot", outboundSmtp: [{ machine: "gateway-1" }] });
});
