/** Passwords that only a person can change: asked for when they are old, once, and gone when the vault or a person says so. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { changePasswordCheck, passwordsRemembered } from "../../functions/rotation/product-passwords.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createTaskStore, type TaskRecord } from "../../shared/stores/tasks.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { Vaults } from "../../shared/vault/client.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const DAY = 24 * 3600 * 1000;
const START = Date.parse("2026-11-23T00:00:00Z");
const [partnerId, tenantId, vaultUrl] = ["northwind", "contoso", "https://contoso-kv.vault.example"];
const account = (user: string, password: string) => ({ user, password });
const iqSuite = {
  automatedSetUp: { expected: true },
  passwordReminder: { everyInDays: 90 },
  ldifGenerator: {
    administrator: account("admin@contoso.example", "webclient-administrator"),
    synchronizationUser: account("sync@contoso.example", "synchronization-user"),
  },
};

async function reminded(wanted: Record<string, unknown> = iqSuite, more: Record<string, unknown> = {}) {
  let now = START;
  const clock = { now: () => now };
  const storage = memoryStorage();
  const tenants = createTenantStore(storage, clock);
  const stores = { tenants, tasks: createTaskStore(storage, clock, createEventStore(storage)) } as Stores;
  const specOf = (suite: Record<string, unknown>) =>
    tenantSpecSchema.parse({ ...contoso, ...more, gateway: { ...contoso.gateway, iqSuite: suite } });
  await tenants.add(partnerId, tenantId, specOf(wanted));
  const versions = [{ createdOn: new Date(START - 10 * DAY) }];
  const vaults = { versions: async () => versions } as unknown as Vaults;
  const check = changePasswordCheck({ stores, vaults });
  const open = async (): Promise<TaskRecord[]> =>
    (await stores.tasks.list(partnerId, { tenantId, state: "open" }, 50)).items.toSorted((one, other) =>
      one.subject.localeCompare(other.subject),
    );
  return {
    stores,
    check,
    versions,
    open,
    sweep: async () => passwordsRemembered({ stores, vaults, clock }, await tenants.get(partnerId, tenantId), vaultUrl),
    pass: (days: number) => void (now += days * DAY),
    now: () => now,
  };
}
const subjects = (tasks: TaskRecord[]): string[] => tasks.map(({ subject }) => subject);

test("those of an image's set-up are due at once, the synchronisation user's when it is old; and each is asked for once", async () => {
  const { sweep, open, pass } = await reminded();
  expect([await sweep(), await sweep()]).toEqual([2, 2]);
  expect(subjects(await open())).toEqual(["remoting", "sqlUser"]);
  pass(80);
  expect(await sweep()).toBe(3);
  const [user] = (await open()).filter(({ subject }) => subject === "synchronizationUser");
  expect(user?.fields).toEqual([
    { label: "User", value: "sync@contoso.example" },
    { label: "Secret in the vault", value: "synchronization-user" },
  ]);
});

test("a person's word ends what nobody else can see, until it is old again", async () => {
  const { stores, check, sweep, open, pass } = await reminded();
  await sweep();
  for (const task of await open()) {
    expect(await check.look(task)).toMatchObject({ found: "missing" });
    await check.accept?.(task, "Partner");
  }
  expect((await stores.tasks.list(partnerId, { state: "done" }, 10)).items).toHaveLength(2);
  pass(79);
  expect(await sweep()).toBe(0);
  pass(11);
  expect(await sweep()).toBe(3);
});

test("nobody's word is taken for what the vault shows: the synchronisation user's is done with a newer version", async () => {
  const { check, versions, sweep, open, pass, now } = await reminded();
  pass(80);
  await sweep();
  const task = (await open()).find(({ subject }) => subject === "synchronizationUser") as TaskRecord;
  await check.accept?.(task, "Partner");
  expect(subjects(await open())).toContain("synchronizationUser");
  expect(await check.look(task)).toMatchObject({ found: "missing" });
  pass(1);
  versions.push({ createdOn: new Date(now()) });
  expect(await check.look(task)).toMatchObject({ found: "done" });
});

test("without the reminder, or without what has such passwords, nobody is asked; and who was asked is let off", async () => {
  const { passwordReminder: _off, ...others } = iqSuite;
  expect(await (await reminded(others)).sweep()).toBe(0);
  expect(await (await reminded({ passwordReminder: { everyInDays: 30 } })).sweep()).toBe(0);
  const azureSql = {
    database: { kind: "azureSql", administrator: { entraGroupId: crypto.randomUUID(), name: "DBA" } },
  };
  const inAzure = await reminded(iqSuite, azureSql);
  await inAzure.sweep();
  expect(subjects(await inAzure.open())).toEqual(["remoting"]);
  const { stores, check, sweep, open } = await reminded();
  await sweep();
  const [task] = await open();
  await stores.tenants.change(partnerId, tenantId, ({ spec }) => ({
    spec: { ...spec, gateway: { ...spec.gateway, iqSuite: undefined } },
  }));
  expect(await check.look(task as TaskRecord)).toMatchObject({ found: "needless" });
});
