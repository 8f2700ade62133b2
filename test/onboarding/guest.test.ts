/** Which credential an onboarding gives the gateway: the one that rotation has made current, and none while rotation is about to. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { guestOf, settledGuestOf } from "../../shared/runbook/guest.ts";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import type { CredentialVersion } from "../../shared/stores/credentials.ts";
import { testStores, unique } from "../support/stores.ts";

const stores = testStores();
const world = { stores } as OnboardingWorld;
const vaultUrl = "https://contoso.vault.example";
const made: CredentialVersion = {
  reference: { vaultUrl, name: "webclient-client-secret", version: "2" },
  keyId: randomUUID(),
  expiresAt: "2030-01-01T00:00:00.000Z",
};

test("before the first rotation the first generation, without a credential", async () => {
  const tenant = { partnerId: unique("partner"), tenantId: unique("contoso") };
  expect(await settledGuestOf(world, tenant)).toEqual({ generation: 1 });
});

test("while a rotation gives the machine its next one it is waited for; once that is current, it is the guest's", async () => {
  const tenant = { partnerId: unique("partner"), tenantId: unique("contoso") };
  const key = { ...tenant, name: "clientSecret" as const };
  await stores.credentials.add({ ...key, vaultUrl, objectId: randomUUID(), clientId: randomUUID() });
  await stores.credentials.change(key, () => ({ rotation: { operationId: "rotation-1", generation: 2 } }));
  await expect(settledGuestOf(world, tenant)).rejects.toMatchObject({ code: "RotationUnderWay", transient: true });
  // A plan only looks.
  expect(await guestOf(world, tenant)).toMatchObject({ generation: 1 });

  await stores.credentials.change(key, () => ({ generation: 2, current: made }));
  expect(await settledGuestOf(world, tenant)).toEqual({ generation: 2, clientSecret: made.reference });
});
