/** What would stop an onboarding halfway stops it before anything is made, and says what to do; mended, it goes through. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const post = async (path: string, body: unknown): Promise<void> => {
  const { status } = await fetch(`${platform.clouds.control}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(status).toBeLessThan(300);
};

/** Writes of the clouds but what consent itself writes: our own client's entry in the customer's directory. */
async function refused(tenant: Customer, code: string): Promise<string> {
  const before = await platform.now();
  await platform.register(tenant);
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation).toMatchObject({ status: "Failed", error: { code } });
  expect(writes(await platform.record(before)).filter((write) => !write.startsWith("entra "))).toEqual([]);
  expect(operation.steps.find(({ name }) => name === "preflight")).toMatchObject({ status: "Failed", error: { code } });
  const { checks } = (await platform.northwind.planOnboarding({ tenantId: tenant.tenantId })).body;
  expect(checks.filter(({ status }) => status === "fail").map((check) => check.code)).toContain(code);
  return operation.error?.message ?? "";
}

async function succeeds(tenant: Customer): Promise<void> {
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation.error).toBeUndefined();
}

test("a subscription whose port 25 Azure blocks", async () => {
  const tenant = customer("contoso", "litware");
  await platform.organize(tenant);
  const { tenantId, subscriptionId } = tenant.spec.azure;
  const { domains, probeMailbox } = tenant.spec.microsoft365;
  const offered = (offer: string) =>
    post("/organizations", { tenantId, domains, mailboxes: [probeMailbox], subscriptionId, offer });
  await offered("CSP");
  expect(await refused(tenant, "OutboundSmtpBlocked")).toBe(
    "Azure blocks port 25 for subscriptions of the kind CSP_2015-05-01, so the gateway could send no mail; take a subscription of an Enterprise Agreement, or set azure.outboundSmtpExempt if Azure has exempted this one before",
  );
  await offered("EnterpriseAgreement");
  await succeeds(tenant);
});

test("a quota that is used up", async () => {
  const tenant = customer("contoso", "margies");
  await platform.organize(tenant);
  const { subscriptionId } = tenant.spec.azure;
  const quota = (limit: number) => post("/azure/quotas", { subscriptionId, location: "westeurope", name: "cores", limit });
  await quota(3);
  expect(await refused(tenant, "QuotaExceeded")).toBe(
    "westeurope has room for 3 more of the quota cores, and 4 are needed; have the quota raised in the subscription's Usage and quotas, or name another size or region",
  );
  await quota(4);
  await succeeds(tenant);
});

test("a DNS label that somebody else has", async () => {
  const other = customer("contoso", "fourth");
  const tenant = customer("contoso", "lamna");
  await platform.organize(other);
  await platform.organize(tenant);
  const label = namesOf({ partnerId: "northwind", tenantId: tenant.tenantId, regions: tenant.spec.gateway.regions }).regions[0]
    ?.machines[0]?.dnsLabel;
  const addresses = platform.clouds.platform.collection("arm.microsoft.network/publicipaddresses");
  const id = `/subscriptions/${other.spec.azure.subscriptionId}/resourcegroups/theirs/providers/microsoft.network/publicipaddresses/theirs`;
  addresses.set(id, {
    id,
    name: "theirs",
    type: "Microsoft.Network/publicIPAddresses",
    location: "westeurope",
    facts: {},
    body: { id, name: "theirs", location: "westeurope", properties: { dnsSettings: { domainNameLabel: label } } },
  });
  expect(await refused(tenant, "DnsLabelTaken")).toBe(
    `the DNS label ${label} is taken in westeurope; register the tenant under another id`,
  );
  addresses.delete(id);
  await succeeds(tenant);
});

test("a size that the region doesn't have, or has too small", async () => {
  const missing = customer("contoso", "nowhere", { size: "Standard_D4as_v99" });
  await platform.organize(missing);
  expect(await refused(missing, "SizeNotAvailable")).toBe("westeurope has no size Standard_D4as_v99");
  const small = customer("contoso", "small", { size: "Standard_D2s_v5" });
  await platform.organize(small);
  expect(await refused(small, "SizeNotAvailable")).toBe(
    "Standard_D2s_v5 has less than 4 processors and 7 GB, or is not made for Trusted Launch and Premium_LRS",
  );
});

everyBodyFits(() => platform.record());

test("a probe mailbox without a licence, and rules that leave no room for ours", async () => {
  const tenant = customer("contoso", "unlicensed");
  const { organization, probeMailbox } = tenant.watched;
  await platform.organize(tenant);
  await platform.clouds.organize({ tenantId: organization, exchange: { unlicensed: [probeMailbox] } });
  expect(await refused(tenant, "SenderNotLicensed")).toContain(probeMailbox);
  await platform.clouds.organize({ tenantId: organization, exchange: { unlicensed: [] } });

  const rules = platform.clouds.platform.collection<TransportRule>("exchange.transport-rules");
  const when = { whenCreated: "2026-01-01T00:00:00Z", whenChanged: "2026-01-01T00:00:00Z" };
  const theirs = Array.from({ length: 299 }, (_, priority): TransportRule => {
    const guid = `7e1e0000-0000-4000-8000-${String(priority).padStart(12, "0")}`;
    const settings = { SetSCL: "0", From: ["nobody@unlicensed.example"] };
    return {
      tenantId: organization,
      guid,
      name: `Theirs ${priority}`,
      priority,
      enabled: true,
      mode: "Enforce",
      settings,
      ...when,
    };
  });
  for (const rule of theirs) rules.set(`${organization}/${rule.guid}`, rule);
  const full = await platform.untilEnded(await platform.start(tenant));
  expect(full).toMatchObject({ status: "Failed", error: { code: "TransportRulesFull" } });
  for (const rule of theirs.slice(10)) rules.delete(`${organization}/${rule.guid}`);
  await succeeds(tenant);
});
