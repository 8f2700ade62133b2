/** Gateways of a marketplace image: nothing is bought unless somebody has accepted its terms, and then it is onboarded like any other. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAzure } from "../../shared/azure/client.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const plan = { publisher: "gatewaymaker", product: "mail-gateway", name: "iq-suite-2022" };
const image = { publisher: "gatewaymaker", offer: "mail-gateway", sku: "iq-suite-2022", version: "latest", plan };

const withImage = (tenant: Customer, changed: object): Customer => {
  const body = { ...tenant.body, gateway: { ...tenant.body.gateway, image: { ...image, ...changed } } };
  return { ...tenant, body, spec: tenantSpecSchema.parse(body) };
};
const agreements = async ({ spec }: Customer): Promise<string[]> =>
  writes(await platform.record()).filter(
    (write) => write.includes(spec.azure.subscriptionId) && write.includes("Microsoft.MarketplaceOrdering"),
  );

async function machineOf({ spec }: Customer): Promise<Record<string, unknown> | undefined> {
  const { resources } = (await platform.clouds.state("arm")) as { resources: ({ id: string; type: string } & typeof image)[] };
  return resources.find(({ id, type }) => type === "Microsoft.Compute/virtualMachines" && id.includes(spec.azure.subscriptionId));
}

describe("terms that nobody has accepted", () => {
  const tenant = customer("contoso", "blueyonder", { image });

  test("stop the onboarding before anything is made, with their links and the way out", async () => {
    await platform.organize(tenant);
    await platform.register(tenant);
    const before = await platform.now();
    const operation = await platform.untilEnded(await platform.start(tenant));
    expect(writes(await platform.record(before)).filter((write) => !write.startsWith("entra "))).toEqual([]);
    expect(operation).toMatchObject({ status: "Failed", error: { code: "MarketplaceTermsNotAccepted" } });
    expect(operation.error?.message).toBe(
      "nobody has accepted the terms of gatewaymaker's image of the plan iq-suite-2022 for the subscription: https://storelegalterms.blob.core.windows.net/legalterms/gatewaymaker:24mail-gateway:24iq-suite-2022.txt and https://storelegalterms.blob.core.windows.net/marketplaceterms/gatewaymaker:24mail-gateway:24iq-suite-2022.txt; read them, then set gateway.image.acceptTerms, or accept them in the marketplace",
    );
  });

  test("are accepted once where the spec says so; asked again, nothing is written", async () => {
    const accepting = withImage(tenant, { acceptTerms: true });
    await platform.register(accepting);
    const planned = (await platform.northwind.planOnboarding({ tenantId: tenant.tenantId })).body;
    expect(planned.resources.find(({ kind }) => kind === "marketplaceTerms")).toMatchObject({ action: "create" });
    const operation = await platform.untilEnded(await platform.start(accepting));
    expect(operation.error).toBeUndefined();
    expect(await agreements(tenant)).toHaveLength(1);
    expect(await machineOf(tenant)).toMatchObject({ plan });
    const before = await platform.now();
    const again = await platform.untilEnded(await platform.start(accepting));
    expect(again.error).toBeUndefined();
    expect(writes(await platform.record(before))).toEqual([]);
  });
});

test("terms that somebody else has accepted are good enough", async () => {
  const tenant = customer("contoso", "lucerne", { image });
  await platform.organize(tenant);
  const { tenantId, subscriptionId } = tenant.spec.azure;
  await platform.asStranger(() => acceptedByHand(tenantId, subscriptionId));
  await platform.register(tenant);
  const before = (await agreements(tenant)).length;
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation.error).toBeUndefined();
  expect(operation.steps.map(({ name }) => name)).not.toContain("marketplaceTerms");
  expect(await agreements(tenant)).toHaveLength(before);
});

test("a plan that the marketplace hasn't is told as such", async () => {
  const tenant = customer("contoso", "trey", { image: { ...image, plan: { ...plan, name: "iq-suite-2012" } } });
  await platform.organize(tenant);
  await platform.register(tenant);
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation).toMatchObject({
    status: "Failed",
    error: { code: "MarketplacePlanUnknown", target: "spec.gateway.image.plan" },
  });
});

test("terms of no plan can't be accepted", async () => {
  const { body } = customer("contoso", "nowhere");
  const { plan: _, ...bare } = image;
  const found = tenantSpecSchema.safeParse({ ...body, gateway: { ...body.gateway, image: { ...bare, acceptTerms: true } } });
  expect(found.error?.issues).toMatchObject([
    { path: ["gateway", "image", "acceptTerms"], message: expect.stringContaining("names no plan") },
  ]);
});

/** As the customer's own administrator accepts them. */
async function acceptedByHand(tenantId: string, subscriptionId: string): Promise<void> {
  const { environment, application } = platform.clouds;
  const azure = createAzure({ environment, credentials: createCredentials(environment, application) });
  const found = await azure.read({ entraTenantId: tenantId, subscriptionId }, async (clients) => {
    const { marketplaceAgreements } = await clients.marketplace();
    const { publisher, product, name } = plan;
    const terms = await marketplaceAgreements.get("virtualmachine", publisher, product, name);
    return marketplaceAgreements.create("virtualmachine", publisher, product, name, { ...terms, accepted: true });
  });
  expect(found).toMatchObject({ state: "present", actual: { accepted: true } });
}

everyBodyFits(
  () => platform.record(),
  ["microsoft.marketplaceordering/offertypes/publishers/offers/plans/agreements@2021-01-01"],
);
