/** A new Microsoft 365 organisation, which shares Microsoft's default settings until somebody changes one of them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

test("an organisation that is dehydrated gets its own settings, and the onboarding goes on", async () => {
  const contoso = customer("contoso");
  await platform.organize(contoso);
  await platform.clouds.organize({ tenantId: contoso.watched.organization, exchange: { dehydrated: true } });
  const operation = await platform.onboard(contoso);
  expect(operation).toMatchObject({ status: "Succeeded" });
  const [organization] = platform.clouds.platform.organizations
    .values()
    .filter(({ tenantId }) => tenantId === contoso.watched.organization);
  expect(organization?.exchange).toEqual({ dehydrated: false });
});
