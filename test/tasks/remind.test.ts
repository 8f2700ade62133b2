/** A task is opened once, brought up to date, reminded of after one, three and seven days, and ended once, whoever does so. */
import { randomUUID } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { remindTasks } from "../../functions/tasks/timer.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { createLog } from "../../shared/log.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createOperationStore } from "../../shared/stores/operations.ts";
import { createPartnerStore } from "../../shared/stores/partners.ts";
import { createTaskStore, type NewTask, type Sight, type TaskCheck, type TaskRecord } from "../../shared/stores/tasks.ts";
import { ownStorage } from "../support/own-storage.ts";

const DAY = 24 * 3600 * 1000;
const start = Date.UTC(2026, 10, 22, 8);
const clock = { time: start, now: () => clock.time };
const partnerId = "northwind";
const iso = (days: number): string => new Date(start + days * DAY).toISOString();

/** What a look at each task of this file sees. */
let seen: Map<string, Sight | ControlPlaneError>;
let logged: string[];
let stores: ReturnType<typeof fresh>;
const fresh = () => {
  const storage = ownStorage();
  const events = createEventStore(storage);
  const [partners, operations] = [createPartnerStore(storage, clock), createOperationStore(storage, clock)];
  return { partners, operations, events, tasks: createTaskStore(storage, clock, events) };
};
beforeEach(async () => {
  clock.time = start;
  stores = fresh();
  seen = new Map();
  logged = [];
  const registration = { id: partnerId, displayName: "Northwind", entraTenantId: randomUUID(), clientId: randomUUID() };
  await stores.partners.put(registration, () => undefined);
});

const check: TaskCheck = {
  look: async ({ subject }: TaskRecord) => {
    const found = seen.get(subject) ?? { found: "missing" as const, message: `${subject} has no record` };
    if (found instanceof Error) throw found;
    return found;
  },
};
const taskChecks = {
  consent: check,
  azureAccess: check,
  certificate: check,
  publishSpf: check,
  withdrawSpf: check,
  ucmReport: check,
  delisting: check,
  emergencyRotation: check,
  changePassword: check,
  restoreMail: check,
};
const after = async (days: number): Promise<void> => {
  clock.time = start + days * DAY;
  await remindTasks({ stores, taskChecks, log: createLog("debug", (_level, line) => logged.push(line)) })();
};
const wanted = (subject: string, more: Partial<NewTask> = {}): NewTask => ({
  partnerId,
  tenantId: "contoso",
  kind: "publishSpf",
  subject,
  title: `Publish an SPF record for ${subject}`,
  instructions: "Add this record.",
  fields: [],
  link: "https://dns.example",
  ...more,
});
const events = async (): Promise<string[]> =>
  (await stores.events.list(partnerId, {}, 100)).items.map(({ id, type, at }) => `${type} ${id} ${at}`).toReversed();
const stateOf = async ({ id }: { id: string }) => (await stores.tasks.get(partnerId, id)).state;

test("what is asked for by several at a time is one task; another subject is another one", async () => {
  const opened = await Promise.all([1, 2, 3].map(() => stores.tasks.open(wanted("contoso.example"))));
  expect(new Set(opened.map(({ id }) => id)).size).toBe(1);
  await stores.tasks.open(wanted("fabrikam.example"));
  const { items } = await stores.tasks.list(partnerId, { tenantId: "contoso", state: "open", kind: "publishSpf" }, 50);
  expect(items.map(({ subject }) => subject).toSorted()).toEqual(["contoso.example", "fabrikam.example"]);
  expect((await stores.tasks.list(partnerId, { kind: "consent" }, 50)).items).toEqual([]);
  expect((await stores.tasks.list("tailspin", {}, 50)).items).toEqual([]);
});

test("asked for again it is brought up to date, and its time runs on; what was done may be asked for anew", async () => {
  const first = await stores.tasks.open(wanted("contoso.example"));
  clock.time += DAY;
  const again = await stores.tasks.open(wanted("contoso.example", { instructions: "Add another record.", link: undefined }));
  expect(again).toMatchObject({ id: first.id, createdAt: iso(0), expiresAt: iso(90), instructions: "Add another record." });
  expect(again.link).toBeUndefined();
  await stores.tasks.end(first, "done", "it is there");
  expect(await stores.tasks.get(partnerId, first.id)).toMatchObject({
    state: "done",
    endedAt: iso(1),
    verification: { at: iso(1), found: "done", message: "it is there" },
  });
  expect(await stores.tasks.findOpen(first)).toBeUndefined();
  const anew = await stores.tasks.open(wanted("contoso.example"));
  expect(anew.id).not.toBe(first.id);
  expect(await stateOf(first)).toBe("done");
});

test("it is reminded of after one, three and seven days, once each, and expires once; a look that comes late makes up for all", async () => {
  const punctual = await stores.tasks.open(wanted("contoso.example", { expiresAt: iso(14) }));
  expect(punctual).toMatchObject({ remindAt: iso(1), reminders: 0 });
  for (const days of [0.9, 1, 1, 2.9, 3, 6.9, 7, 7.1, 13.9]) await after(days);
  expect(await stores.tasks.get(partnerId, punctual.id)).toMatchObject({ reminders: 3, state: "open" });
  const reminders = [1, 3, 7].map((days, index) => `task.reminder ${punctual.id}-reminder-${index + 1} ${iso(days)}`);
  expect(await events()).toEqual(reminders);
  await after(14);
  await after(15);
  expect(await events()).toEqual([...reminders, `task.expired ${punctual.id}-expired ${iso(14)}`]);
  expect(await stateOf(punctual)).toBe("expired");

  clock.time = start;
  const late = await stores.tasks.open(wanted("late.example", { expiresAt: iso(5) }));
  await after(20);
  expect((await events()).filter((event) => event.includes(late.id))).toEqual(
    [`reminder-1 ${iso(1)}`, `reminder-2 ${iso(3)}`, `expired ${iso(5)}`].map(
      (what) => `task.${what.replace(/-\d.*| .*/, "")} ${late.id}-${what}`,
    ),
  );
});

test("what was done without a word is found before anybody is reminded; what nobody wants any more is canceled", async () => {
  const [done, needless] = [await stores.tasks.open(wanted("done.example")), await stores.tasks.open(wanted("needless.example"))];
  seen.set("done.example", { found: "done", message: "it is there" });
  seen.set("needless.example", { found: "needless", message: "the domain has gone" });
  await after(2);
  expect([await stateOf(done), await stateOf(needless)]).toEqual(["done", "canceled"]);
  expect(await events()).toEqual([]);
});

test("one that can't be looked at says so, is reminded of, and keeps no other from being looked at", async () => {
  const [silent, broken, other] = [
    await stores.tasks.open(wanted("silent.example")),
    await stores.tasks.open(wanted("broken.example")),
    await stores.tasks.open(wanted("other.example")),
  ];
  seen.set("silent.example", new ControlPlaneError("DnsFailed", "no answer", 503, true));
  const own = taskChecks.publishSpf.look;
  taskChecks.publishSpf = {
    look: async (task) => (task.subject === "broken.example" ? Promise.reject(new TypeError("a mistake of ours")) : own(task)),
  };
  await after(1);
  taskChecks.publishSpf = { look: own };
  expect(await stores.tasks.get(partnerId, silent.id)).toMatchObject({
    reminders: 1,
    verification: { found: "unknown", message: "DnsFailed: no answer" },
  });
  expect(await stores.tasks.get(partnerId, other.id)).toMatchObject({ reminders: 1 });
  expect(await stores.tasks.get(partnerId, broken.id)).toMatchObject({ state: "open", reminders: 0 });
  expect(logged.join()).toContain("a task could not be looked at");
});

test("whoever waits looks for itself; once its operation has ended, nobody needs the task", async () => {
  const operation = { partnerId, tenantId: "contoso", id: randomUUID(), kind: "onboarding", requestHash: "", steps: [] } as const;
  await stores.operations.create({ ...operation, steps: [] });
  seen.set("", { found: "done", message: "nobody asked me" });
  const waiting = { instanceId: "northwind_1-consent", event: "consentAnswered" };
  const task = await stores.tasks.open(wanted("", { kind: "consent", operationId: operation.id, waiting, expiresAt: iso(14) }));
  await after(1);
  expect(await stores.tasks.get(partnerId, task.id)).toMatchObject({ state: "open", reminders: 1 });
  await stores.operations.recordProgress(partnerId, operation.id, { status: "Failed" });
  await after(2);
  expect(await stateOf(task)).toBe("canceled");
});

test("given up before its time it is canceled, after it expired; all of a tenant's end with the tenant, and nobody else's", async () => {
  const early = await stores.tasks.open(wanted("", { kind: "consent", expiresAt: iso(14) }));
  await stores.tasks.giveUp(early, "the domain is verified elsewhere");
  const late = await stores.tasks.open(wanted("", { kind: "azureAccess", expiresAt: iso(14) }));
  clock.time = start + 14 * DAY;
  await stores.tasks.giveUp(late, "nobody answered in time");
  expect([await stateOf(early), await stateOf(late)]).toEqual(["canceled", "expired"]);
  expect(await events()).toEqual([`task.expired ${late.id}-expired ${iso(14)}`]);

  const own = [await stores.tasks.open(wanted("a.example")), await stores.tasks.open(wanted("", { kind: "certificate" }))];
  const others = await stores.tasks.open(wanted("a.example", { tenantId: "contoso-two" }));
  await stores.tasks.cancelAll({ partnerId, tenantId: "contoso" }, "the tenant is being taken away");
  expect(await Promise.all(own.map(stateOf))).toEqual(["canceled", "canceled"]);
  expect(await stateOf(others)).toBe("open");
});
