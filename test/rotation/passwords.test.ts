/** Passwords in the gateways: stored before they are used, kept by those who make machines, and given a life where the spec says so. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { keepPasswords } from "../../functions/onboarding/keep-passwords.ts";
import { createPasswordActivities } from "../../functions/rotation/password-activities.ts";
import { passwordSteps } from "../../functions/rotation/steps.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { createAuditStore } from "../../shared/stores/audit.ts";
import { createCredentialStore } from "../../shared/stores/credentials.ts";
import { createOperationStore } from "../../shared/stores/operations.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { chosenSecrets } from "../../shared/runbook/secrets.ts";
import { guestOf } from "../../shared/runbook/guest.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { SecretVersion } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const NOW = Date.parse("2026-11-23T00:00:00Z");
const DAY = 24 * 3600 * 1000;
const vaultUrl = "https://contoso-kv.vault.example";
const reference = (version: string): SecretReference => ({ vaultUrl, name: "gateway-admin-password", version });

async function tenantWith(gateway: Record<string, unknown> = {}) {
  const clock = { now: () => NOW };
  const storage = memoryStorage();
  const stores = {
    tenants: createTenantStore(storage, clock),
    credentials: createCredentialStore(storage, clock),
    operations: createOperationStore(storage, clock),
    audit: createAuditStore(storage, clock),
  } as Stores;
  const key = { partnerId: "northwind", tenantId: "contoso", name: "administratorPassword" as const };
  const { partnerId, tenantId } = key;
  const spec = tenantSpecSchema.parse({ ...contoso, gateway: { ...contoso.gateway, ...gateway } });
  await stores.tenants.add(partnerId, tenantId, spec);
  const ground = { adminPassword: reference("v1"), loopGuid: reference("guid") } as Ground;
  await stores.tenants.change(partnerId, tenantId, ({ facts }) => ({
    facts: { ...facts, ground, secrets: { adminPassword: reference("v1"), loopGuid: reference("guid") } },
  }));
  const kept: (SecretVersion & { value: string })[] = [];
  const off: string[] = [];
  const vaults = {
    versions: async () => [...kept],
    write: async ({ value, tags = {}, expiresOn }: { value: string; tags?: Record<string, string>; expiresOn?: Date }) => {
      const made = { reference: reference(`v${kept.length + 2}`), tags, expiresOn, createdOn: new Date(NOW), value };
      kept.push(made);
      return made.reference;
    },
    disable: async ({ version }: SecretReference) => void off.push(version),
  };
  const activities = createPasswordActivities({ stores, vaults, clock } as unknown as RotationWorld);
  const begin = async (operationId: string, generation: number) => {
    await stores.operations.create({
      partnerId,
      tenantId,
      id: operationId,
      kind: "renewal",
      requestHash: operationId,
      steps: passwordSteps(spec, {}),
    });
    await stores.credentials.change(key, () => ({ rotation: { operationId, generation } }));
    return { operationId, partnerId, tenantId };
  };
  const keep = async () => keepPasswords({ stores, clock }, await stores.tenants.get(partnerId, tenantId), ground);
  const facts = async () => {
    const tenant = await stores.tenants.get(partnerId, tenantId);
    return { ground: (tenant.facts["ground"] as Ground).adminPassword, chosen: chosenSecrets(tenant).adminPassword };
  };
  const current = { reference: reference("v1"), keyId: "v1" };
  await stores.credentials.add({
    ...key,
    vaultUrl,
    objectId: "",
    clientId: "",
    ...(gateway["administratorPassword"] ? {} : { current }),
  });
  return { stores, key, spec, activities, begin, keep, facts, kept, off };
}

test("one that is stored is used again, and a machine that is made from the flip on has it", async () => {
  const { stores, key, spec, activities, begin, facts, kept, off } = await tenantWith();
  const work = await begin("first", 2);
  const made = await activities.createPassword({ work, key, generation: 2, spec });
  expect(await activities.createPassword({ work, key, generation: 2, spec })).toEqual(made);
  expect(kept).toHaveLength(1);
  expect(kept[0]?.value).toMatch(/^[\w-]{40}!aA1$/);
  expect(made.expiresAt).toBeUndefined();
  expect(await facts()).toEqual({ ground: reference("v1"), chosen: reference("v1") });
  await activities.flipPassword({ work, key, generation: 2, made });
  await activities.flipPassword({ work, key, generation: 2, made });
  expect(await facts()).toEqual({ ground: made.reference, chosen: made.reference });
  expect(await stores.credentials.find(key)).toMatchObject({ generation: 2, current: made, previous: { keyId: "v1" } });
  await activities.retirePassword({ work, key, spec });
  expect(off).toEqual(["v1"]);
});

test("a worker that wakes up during the next rotation switches nothing off and flips nothing", async () => {
  const { stores, key, spec, activities, begin, off } = await tenantWith();
  const late = await begin("first", 2);
  const made = await activities.createPassword({ work: late, key, generation: 2, spec });
  await activities.flipPassword({ work: late, key, generation: 2, made });
  await begin("second", 3);
  await activities.retirePassword({ work: late, key, spec });
  await activities.flipPassword({ work: late, key, generation: 3, made: { reference: reference("late"), keyId: "late" } });
  expect(off).toEqual([]);
  expect(await stores.credentials.find(key)).toMatchObject({ generation: 2, current: made });
});

test("the machines' own documents count no rotation of a password", async () => {
  const { stores, key, spec, activities, begin } = await tenantWith();
  const work = await begin("first", 2);
  expect(await guestOf({ stores }, key)).toEqual({ generation: 1 });
  const made = await activities.createPassword({ work, key, generation: 2, spec });
  await activities.flipPassword({ work, key, generation: 2, made });
  expect(await guestOf({ stores }, key)).toEqual({ generation: 1 });
});

test("machines beside the gateways still have the old one: it stays readable", async () => {
  const { key, spec, activities, begin, off } = await tenantWith({ keyManager: {} });
  const work = await begin("first", 2);
  const made = await activities.createPassword({ work, key, generation: 2, spec });
  await activities.flipPassword({ work, key, generation: 2, made });
  await activities.retirePassword({ work, key, spec });
  expect(off).toEqual([]);
});

test("with a life in the spec it has an end from the onboarding on, and so has the next one", async () => {
  const { stores, key, spec, activities, begin, keep } = await tenantWith({ administratorPassword: { lifetimeInDays: 90 } });
  await stores.credentials.removeAll(key.partnerId, key.tenantId);
  await keep();
  await keep();
  const end = new Date(NOW + 90 * DAY).toISOString();
  expect(await stores.credentials.list(key.partnerId, key.tenantId)).toMatchObject([
    { name: "administratorPassword", current: { keyId: "v1", madeAt: new Date(NOW).toISOString(), expiresAt: end } },
  ]);
  const made = await activities.createPassword({ work: await begin("first", 2), key, generation: 2, spec });
  expect(made).toMatchObject({ madeAt: new Date(NOW).toISOString(), expiresAt: end });
});

test("one that had none so far gets a life; SQL Server's is made by the first sweep, which knows no earlier one", async () => {
  const sqlServer = { automatedSetUp: { sqlServer: { lifetimeInDays: 365 } } };
  const { stores, key, keep } = await tenantWith({ iqSuite: sqlServer });
  await keep();
  expect(await stores.credentials.find(key)).toMatchObject({ current: { keyId: "v1" } });
  const made = await stores.credentials.find({ ...key, name: "sqlAdministratorPassword" });
  expect(made).toMatchObject({ generation: 1 });
  expect(made?.current).toBeUndefined();
});
