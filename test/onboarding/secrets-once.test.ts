/** A secret is made once, even where two tries of the same activity overlap: one of them at a time, and a late one switches its own version off. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createOnboardingActivities } from "../../functions/onboarding/activities.ts";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
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

type Write = ReturnType<typeof createVaults>["write"];

/** What this activity asks of the world, with a tenant of its own; the platform's own vault stands for the customer's: it needs no subscription. */
async function secretsWorld(clock: Clock, looked: () => Promise<void>) {
  const { environment, application, platformVault: vaultUrl } = clouds;
  const vaults = createVaults({ environment, credentials: createCredentials(environment, application) });
  const stores = testStores(clock);
  const { spec } = customer("contoso");
  const [partnerId, tenantId, name] = [unique("partner"), unique("contoso"), unique("secret")];
  await stores.tenants.add(partnerId, tenantId, spec);
  const work = { partnerId, tenantId, operationId: "operation" };
  const steps = [{ name: "loopGuid", title: "Loop GUID", branch: "root" as const }];
  await stores.operations.create({ partnerId, tenantId, id: work.operationId, kind: "onboarding", requestHash: "", steps });
  const world = {
    stores,
    clock,
    vaults: {
      ...vaults,
      first: async (url: string) => {
        const found = await vaults.first(url, name);
        await looked();
        return found;
      },
      write: (secret: Parameters<Write>[0]) => vaults.write({ ...secret, name, entraTenantId: undefined }),
      disable: (reference: Parameters<typeof vaults.disable>[0]) => vaults.disable(reference),
    },
  } as unknown as OnboardingWorld;
  const { ensureSecret } = createOnboardingActivities(world);
  return {
    ensure: () =>
      ensureSecret({ work, step: "loopGuid", vaultUrl, entraTenantId: spec.azure.tenantId, purpose: "loopGuid" as const }),
    versions: async () => (await vaults.versions(vaultUrl, name)).map(({ reference }) => reference),
    made: async () => {
      const { value } = (await (await fetch(`${clouds.control}/requests?cloud=vault`)).json()) as { value: Exchange[] };
      return value.filter(({ url, effect, method }) => effect === "write" && method === "PUT" && url.includes(`/${name}?`))
        .length;
    },
  };
}

test("of two overlapping tries one makes it, and the other comes again", async () => {
  const { ensure, versions, made } = await secretsWorld(systemClock, () => Promise.resolve());
  const tries = await Promise.allSettled([ensure(), ensure()]);
  const reference = await ensure();
  for (const one of tries)
    if (one.status === "fulfilled") expect(one.value).toEqual(reference);
    else expect(one.reason).toMatchObject({ code: "SecretUnderway", transient: true });
  expect(await versions()).toEqual([reference]);
  expect(await made()).toBe(1);
});

test("two whose leases are over, and who have both looked before either writes, agree on one version", async () => {
  let looked = 0;
  let bothLooked = (): void => undefined;
  const met = new Promise<void>((resolve) => (bothLooked = resolve));
  let hours = 0;
  const lateClock = { now: () => systemClock.now() + hours++ * 3_600_000 };
  const { ensure, versions, made } = await secretsWorld(lateClock, async () => {
    if (++looked === 2) bothLooked();
    await met;
  });
  const [one, other] = await Promise.all([ensure(), ensure()]);
  expect(other).toEqual(one);
  expect(await versions()).toEqual([one]);
  expect(await made()).toBe(2);
  expect(await ensure()).toEqual(one);
});
