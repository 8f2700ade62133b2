/** What must not be onboarded is refused with its reason, and nothing has been created anywhere. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiError } from "../../shared/api/client.ts";
import { oneOfEach } from "../support/estate.ts";
import { exchangeOf } from "../support/exchange.ts";
import {
  about,
  customer,
  customerOf,
  type OnboardingPlatform,
  type SpecInput,
  startOnboarding,
  writes,
} from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const refusalOf = async (attempt: Promise<unknown>): Promise<ApiError> => {
  const outcome = await attempt.catch((error: unknown) => error);
  if (outcome instanceof ApiError) return outcome;
  throw new Error("it was not refused", { cause: outcome });
};

describe("a spec that the API refuses", () => {
  const { body } = customer("contoso", "adatum");
  const rdpFrom = (...sources: string[]) => ({ ...body, gateway: { ...body.gateway, services: { rdp: { sources } } } });
  test.each<[string, object, string, RegExp]>([
    ["has a field that nobody knows", { ...body, licence: "E5" }, "licence", /not known here/],
    [
      "has such a field deep inside",
      { ...body, azure: { ...body.azure, region: "westeurope" } },
      "azure.region",
      /not known here/,
    ],
    ["opens RDP to the whole internet", rdpFrom("0.0.0.0/0"), "gateway.services.rdp.sources[0]", /whole internet/],
    ["opens RDP to the whole internet in two halves", rdpFrom("0.0.0.0/1", "128.0.0.0/1"), "gateway.services.rdp.sources", /./],
    ["opens RDP to the whole IPv6 internet", rdpFrom("::/0"), "gateway.services.rdp.sources[0]", /IPv4/],
    ["opens RDP to anybody", rdpFrom("*"), "gateway.services.rdp.sources[0]", /IPv4/],
    ["opens RDP to nobody in particular", rdpFrom(), "gateway.services.rdp.sources", /at least one source/],
    [
      "proves the loop with a mailbox of another domain",
      { ...body, microsoft365: { ...body.microsoft365, probeMailbox: "probe@fabrikam.example" } },
      "microsoft365.probeMailbox",
      /adatum\.example/,
    ],
    [
      "pilots an address of another domain",
      { ...body, pilot: { addresses: ["pilot@adatum.example", "pilot@fabrikam.example"] } },
      "pilot.addresses[1]",
      /adatum\.example/,
    ],
  ])("%s", async (_, spec, target, message) => {
    const before = await platform.now();
    const { status, code, details } = await refusalOf(
      platform.northwind.putTenant({ tenantId: "adatum-refused", body: spec as SpecInput }),
    );
    expect({ status, code }).toEqual({ status: 400, code: "InvalidRequest" });
    expect(details.map((detail) => detail.target)).toContainEqual(expect.stringContaining(target));
    expect(details.map((detail) => detail.message).join()).toMatch(message);
    expect((await refusalOf(platform.northwind.getTenant({ tenantId: "adatum-refused" }))).code).toBe("TenantNotFound");
    expect(writes(await platform.record(before))).toEqual([]);
  });
});

describe("an onboarding that may not begin", () => {
  test("fails when a declared domain is not verified in that organisation, naming domain and remedy", async () => {
    const litware = customer("fabrikam", "litware");
    const { microsoft365, azure } = litware.spec;
    const before = await platform.now();
    await platform.clouds.organize({
      tenantId: microsoft365.tenantId,
      domains: ["litware.example", { name: "mail.litware.example", verified: false }],
      mailboxes: [microsoft365.probeMailbox],
      subscriptionId: azure.subscriptionId,
    });
    await platform.register(litware);
    const operation = await platform.untilEnded(await platform.start(litware));
    expect(operation).toMatchObject({ status: "Failed", error: { code: "DomainNotVerified" } });
    expect(operation.error?.message).toMatch(/mail\.litware\.example.*verify it in the Microsoft 365 admin centre/);
    expect(operation.error?.message).not.toMatch(/ litware\.example/);
    const { body: tenant } = await platform.northwind.getTenant({ tenantId: litware.tenantId });
    expect(tenant.conditions.find(({ type }) => type === "ConsentGranted")).toMatchObject({
      status: "False",
      reason: "DomainNotVerified",
    });
    expect(writes(await platform.record(before))).toEqual([]);

    expect(tenant.stage).toBe("registered");
    const domains = litware.spec.microsoft365.domains.filter((domain) => domain !== "mail.litware.example");
    const pilot = { addresses: ["first@litware.example"] };
    const corrected = { ...litware.spec, pilot, microsoft365: { ...litware.spec.microsoft365, domains } };
    await platform.register(customerOf(litware.tenantId, corrected));
    expect(await platform.untilEnded(await platform.start(litware))).toMatchObject({ status: "Succeeded" });
  });

  test("fails when nobody has consented in time", async () => {
    const impatient = await platform.app({ CONSENT_EXPIRY: "PT0.5S" });
    const proseware = customer("contoso", "proseware");
    const before = await platform.now();
    const operation = await impatient.onboard(proseware, { by: impatient.northwind, consent: "never" });
    expect(operation).toMatchObject({ status: "Failed", error: { code: "ConsentRequired" } });
    expect(operation.error?.message).toMatch(new RegExp(proseware.watched.organization));
    expect(operation.waitingFor).toBeUndefined();
    const { body: tenant } = await platform.northwind.getTenant({ tenantId: proseware.tenantId });
    expect(tenant.conditions.find(({ type }) => type === "Ready")).toMatchObject({ status: "False", reason: "ConsentRequired" });
    expect(writes(await platform.record(before))).toEqual([]);

    const again = await platform.untilWaitingFor(await platform.start(proseware), "consent");
    expect(again.id).not.toBe(operation.id);
  });

  test("waits for access to the subscription, and goes on once its owner has granted it", async () => {
    const wingtip = customer("contoso", "wingtip");
    const { microsoft365, azure } = wingtip.spec;
    const organization = {
      tenantId: microsoft365.tenantId,
      domains: microsoft365.domains,
      mailboxes: [microsoft365.probeMailbox, ...wingtip.spec.pilot.addresses],
      subscriptionId: azure.subscriptionId,
    };
    await platform.clouds.organize({ ...organization, azureAccess: false });
    await platform.clouds.consent(microsoft365.tenantId);
    const before = await platform.now();
    await platform.register(wingtip);
    const waiting = await platform.untilWaitingFor(await platform.start(wingtip), "azureAccess");
    expect(waiting.waitingFor?.message).toMatch(new RegExp(`subscription ${azure.subscriptionId} must grant`));
    const { body: tenant } = await platform.northwind.getTenant({ tenantId: wingtip.tenantId });
    expect(tenant.conditions.find(({ type }) => type === "AzureAccessGranted")).toMatchObject({ status: "False" });
    expect(writes(await platform.record(before))).toEqual([]);

    await platform.clouds.organize({ ...organization, azureAccess: true });
    await platform.untilDone(waiting, "resourceGroup");
  });
});

test("a stranger's object with our name is left alone; once it is gone, a new operation goes on from what is there", async () => {
  const adatum = customer("contoso", "adatum");
  const { organization } = adatum.watched;
  await platform.organize(adatum);
  await platform.clouds.consent(organization);
  const admin = await exchangeOf(platform.clouds, organization);
  const theirs = { Name: "M365 to Azure VM", ConnectorType: "Partner", RecipientDomains: ["partner.example"], UseMXRecord: true };
  await platform.asStranger(() => admin.run("New-OutboundConnector", { ...theirs, Comment: "made by hand" }));
  await platform.register(adatum);
  const failed = await platform.untilEnded(await platform.start(adatum));
  expect(failed).toMatchObject({ status: "Failed", error: { code: "ForeignObject" } });
  expect(failed.steps.find(({ name }) => name === "outboundConnector")).toMatchObject({ status: "Failed" });
  expect(await admin.list("Get-OutboundConnector")).toMatchObject([{ ...theirs, Comment: "made by hand" }]);
  const rules = await admin.list("Get-TransportRule");
  expect(rules.filter(({ RouteMessageOutboundConnector: sent }) => sent)).toEqual([]);

  await platform.asStranger(() => admin.run("Remove-OutboundConnector", { Identity: "M365 to Azure VM", Confirm: false }));
  const before = await platform.now();
  const operation = await platform.untilEnded(await platform.start(adatum));
  expect(operation.error).toBeUndefined();
  expect(operation.steps.find(({ name }) => name === "gatewayVm")).toMatchObject({ status: "Succeeded", change: "unchanged" });
  expect(writes(about(adatum, await platform.record(before))).filter((write) => write.startsWith("arm"))).toEqual([]);
  expect(await platform.estate(adatum)).toMatchObject(oneOfEach);
});
