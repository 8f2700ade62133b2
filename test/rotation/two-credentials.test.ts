/** A tenant's two credentials are in one document of the gateway: their rotations never write it at the same time, and neither takes the other's back. */
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { settledGuestOf } from "../../shared/runbook/guest.ts";
import { createRotationActivities } from "../../functions/rotation/activities.ts";
import { rotationSteps } from "../../functions/rotation/steps.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { systemClock } from "../../shared/clock.ts";
import type { CredentialVersion } from "../../shared/stores/credentials.ts";
import type { CredentialName } from "../../shared/vault/credential-names.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { testStores, unique } from "../support/stores.ts";

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const spec = tenantSpecSchema.parse(contoso);
const vaultUrl = "https://contoso-kv.vault.azure.net";
const version = (name: string): CredentialVersion => ({
  reference: { vaultUrl, name, version: randomUUID() },
  keyId: randomUUID(),
  expiresAt: "2030-01-01T00:00:00.000Z",
});

async function twoCredentials() {
  const stores = testStores();
  const tenant = { partnerId: unique("partner"), tenantId: unique("contoso") };
  const keyOf = (name: CredentialName) => ({ ...tenant, name });
  for (const name of ["clientSecret", "exchangeWebServicesSecret"] as const) {
    await stores.credentials.add({ ...keyOf(name), vaultUrl, objectId: randomUUID(), clientId: randomUUID() });
    await stores.operations.create({ ...tenant, id: name, kind: "rotation", requestHash: name, steps: rotationSteps(spec) });
  }
  const activities = createRotationActivities({ stores, clock: systemClock } as RotationWorld);
  const claim = (name: CredentialName, generation = 2) =>
    activities.claimRotation({ work: { ...tenant, operationId: name }, key: keyOf(name), generation });
  const flip = (name: CredentialName, generation: number, made: CredentialVersion) =>
    activities.flipClientSecret({ work: { ...tenant, operationId: name }, key: keyOf(name), generation, made });
  const guest = () => settledGuestOf({ stores }, tenant);
  return { stores, keyOf, claim, flip, guest };
}

const underWay = { code: "RotationUnderWay", transient: true };

test.each([
  ["clientSecret", "exchangeWebServicesSecret"],
  ["exchangeWebServicesSecret", "clientSecret"],
] as const)("while %s is on its way to the gateway, %s waits; then it takes the other's new one along", async (first, second) => {
  const { claim, flip, guest } = await twoCredentials();
  expect(await claim(first)).toEqual({ claimed: true, beside: { rotations: 0 } });
  await expect(claim(second)).rejects.toMatchObject(underWay);
  await expect(guest()).rejects.toMatchObject(underWay);
  const made = version(first);
  await flip(first, 2, made);
  expect(await claim(second)).toEqual({ claimed: true, beside: { rotations: 1, [first]: made.reference } });
  const later = version(second);
  await flip(second, 2, later);
  expect(await guest()).toEqual({ generation: 3, [first]: made.reference, [second]: later.reference });
});

test("two that meet never both go on, and one of them does in the end", async () => {
  const { stores, keyOf, claim } = await twoCredentials();
  const names = ["clientSecret", "exchangeWebServicesSecret"] as const;
  for (const name of names)
    await stores.credentials.change(keyOf(name), () => ({ rotation: { operationId: name, generation: 2 } }));
  const outcomes = await Promise.allSettled(names.map((name) => claim(name)));
  expect(outcomes.filter(({ status }) => status === "fulfilled").length).toBeLessThan(2);
  // Tried again, as a step is: the one that gave way has left its row free.
  await expect(claim("exchangeWebServicesSecret")).rejects.toMatchObject(underWay);
  expect(await claim("clientSecret")).toMatchObject({ claimed: true });
});
