/** When credentials are due, and when somebody is told: for any life, and day after day in the sweep. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { alarmAt, lifeOf, renewalAt } from "../../functions/rotation/renewal.ts";
import { sweepCredentials } from "../../functions/rotation/timer.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { createCredentialStore } from "../../shared/stores/credentials.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { credentialNames } from "../../shared/vault/credential-names.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const DAY = 24 * 3600 * 1000;
const START = Date.parse("2026-11-23T00:00:00Z");
const id = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/);
const keys = fc.record({ partnerId: id, tenantId: id, name: fc.constantFrom(...credentialNames) });
const lives = fc
  .record({ madeAt: fc.integer({ min: 0, max: START }), length: fc.integer({ min: 60_000, max: 1000 * DAY }) })
  .map(({ madeAt, length }) => ({ madeAt, expiresAt: madeAt + length }));

test("a credential is due between 60 % and two thirds of its life, always on the same day, and long before the alarm", () => {
  fc.assert(
    fc.property(keys, lives, (key, life) => {
      const length = life.expiresAt - life.madeAt;
      const due = renewalAt(key, life);
      expect(renewalAt({ ...key }, { ...life })).toBe(due);
      expect(due).toBeGreaterThanOrEqual(life.madeAt + 0.6 * length - 1);
      expect(due).toBeLessThanOrEqual(life.madeAt + (2 / 3) * length);
      // Time for tries that fail: a twelfth of the life at least.
      expect(alarmAt(life) - due).toBeGreaterThanOrEqual(length / 12 - 1);
      expect(life.expiresAt - alarmAt(life)).toBeLessThanOrEqual(Math.min(45 * DAY, length / 4));
    }),
  );
});

test("nobody is told later than with 45 days left of a life of 180 days or more, and with a quarter left of a shorter one", () => {
  const left = (days: number) => (days * DAY - alarmAt({ madeAt: 0, expiresAt: days * DAY })) / DAY;
  expect([365, 180, 90, 47, 6].map(left)).toEqual([45, 45, 22.5, 11.75, 1.5]);
});

test("those that were made together are spread over the days of their jitter", () => {
  const life = { madeAt: START, expiresAt: START + 180 * DAY };
  const days = Array.from({ length: 1200 }, (_, number) =>
    Math.floor((renewalAt({ partnerId: "northwind", tenantId: `t${number}`, name: "clientSecret" }, life) - START) / DAY),
  );
  const counts = [...Map.groupBy(days, (day) => day).values()].map((some) => some.length);
  expect([Math.min(...days), Math.max(...days)]).toEqual([108, 119]);
  expect(Math.max(...counts)).toBeLessThan(200);
});

test("a life begins when it was made, or came into use; what was never made, or never expires, has none", () => {
  const current = { reference: { vaultUrl: "v", name: "n", version: "1" }, keyId: "1", expiresAt: "2027-01-01T00:00:00.000Z" };
  const rotatedAt = "2026-07-05T00:00:00.000Z";
  expect(lifeOf({ current, rotatedAt })?.madeAt).toBe(Date.parse(rotatedAt));
  expect(lifeOf({ current: { ...current, madeAt: "2026-07-01T00:00:00.000Z" }, rotatedAt })?.madeAt).toBe(
    Date.parse("2026-07-01T00:00:00.000Z"),
  );
  expect([lifeOf({ rotatedAt }), lifeOf({ current: { reference: current.reference, keyId: "1" }, rotatedAt })]).toEqual([
    undefined,
    undefined,
  ]);
});

test("a credential that nobody replaces is announced daily from its day on, and says so when little time is left", async () => {
  let now = START;
  const clock = { now: () => now };
  const storage = memoryStorage();
  const stores = {
    tenants: createTenantStore(storage, clock),
    credentials: createCredentialStore(storage, clock),
    events: createEventStore(storage),
  };
  const announced: number[] = [];
  const key = { partnerId: "northwind", tenantId: "contoso", name: "clientSecret" as const };
  const vaultUrl = "https://contoso-kv.vault.azure.net";
  const current = (version: string) => ({
    reference: { vaultUrl, name: "webclient-client-secret", version },
    keyId: version,
    madeAt: new Date(now).toISOString(),
    expiresAt: new Date(now + 180 * DAY).toISOString(),
  });
  await stores.tenants.add("northwind", "contoso", { azure: {}, microsoft365: {} } as TenantSpec);
  await stores.credentials.add({ ...key, vaultUrl, objectId: "o", clientId: "c", current: current("1") });
  const world = {
    stores,
    clock,
    sender: { send: async () => void announced.push((now - START) / DAY) },
    passwords: { list: async () => [] },
    vaults: { versions: () => Promise.reject(new Error("the vault is down")) },
    log: { information: () => undefined, warning: () => undefined },
  } as unknown as RotationWorld;
  const day = async (): Promise<string | undefined> => {
    await sweepCredentials(world)();
    now += DAY;
    const { conditions } = await stores.tenants.get("northwind", "contoso");
    return conditions.find(({ type }) => type === "CredentialsLasting")?.status;
  };
  const said: (string | undefined)[] = [];
  for (let number = 0; number < 150; number++) said.push(await day());
  expect(said.lastIndexOf(undefined)).toBe(134);
  expect(new Set(said.slice(135))).toEqual(new Set(["False"]));
  expect(announced[0]).toBeGreaterThanOrEqual(108);
  expect(announced).toEqual(Array.from({ length: announced.length }, (_, number) => (announced[0] ?? 0) + number));
  expect(announced.at(-1)).toBe(149);
  const events = async () => (await stores.events.list("northwind", {}, 10)).items;
  expect(await events()).toMatchObject([
    { type: "tenant.credential.expiring", data: { credential: "clientSecret", version: "1" }, at: "2027-04-07T00:00:00.000Z" },
  ]);
  await stores.credentials.change(key, () => ({ generation: 2, current: current("2") }));
  expect(await day()).toBe("True");
  expect(await events()).toHaveLength(1);
});
