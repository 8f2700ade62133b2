/** A secret is made once, even where two tries of the same activity overlap: the tenant's row decides, and the loser's version is switched off. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createOnboardingActivities } from "../../functions/onboarding/activities.ts";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import { systemClock } from "../../shared/clock.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createVaults } from "../../shared/vault/client.ts";
import { customer } from "../support/onboarding.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { testStores, unique } from "../support/stores.ts";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds.stop());

test("two overlapping tries agree on one version", async () => {
  const { environment, application, platformVault: vaultUrl } = clouds;
  const vaults = createVaults({ environment, credentials: createCredentials(environment, application) });
  const stores = testStores();
  const { spec } = customer("contoso");
  const [partnerId, tenantId] = [unique("partner"), unique("contoso")];
  await stores.tenants.add(partnerId, tenantId, spec);
  const work = { partnerId, tenantId, operationId: "operation" };
  const steps = [{ name: "loopGuid", title: "Loop GUID", branch: "root" as const }];
  await stores.operations.create({ partnerId, tenantId, id: work.operationId, kind: "onboarding", requestHash: "", steps });
  // What this activity asks of the world. Each try has looked into the vault before either writes.
  let looked = 0;
  let bothLooked = (): void => undefined;
  const met = new Promise<void>((resolve) => (bothLooked = resolve));
  const world = {
    stores,
    clock: systemClock,
    vaults: {
      ...vaults,
      // The platform's own vault stands for the customer's: it needs no subscription.
      first: async (url: string, name: string) => {
        const found = await vaults.first(url, name);
        if (++looked === 2) bothLooked();
        await met;
        return found;
      },
      write: (secret: Parameters<typeof vaults.write>[0]) => vaults.write({ ...secret, entraTenantId: undefined }),
      disable: (reference: Parameters<typeof vaults.disable>[0]) => vaults.disable(reference),
    },
  } as unknown as OnboardingWorld;
  const { ensureSecret } = createOnboardingActivities(world);
  const wanted = { work, step: "loopGuid", vaultUrl, entraTenantId: spec.azure.tenantId, purpose: "loopGuid" as const };
  const [one, other] = await Promise.all([ensureSecret(wanted), ensureSecret(wanted)]);
  expect(other).toEqual(one);
  expect((await vaults.versions(vaultUrl, "loop-guid")).map(({ reference }) => reference)).toEqual([one]);
  expect(await ensureSecret(wanted)).toEqual(one);
});
