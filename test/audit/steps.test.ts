/** Steps in the audit log, through whatever happens to them: each write is begun once and ended once, and none is forgotten. */
import { beforeEach, expect, test } from "vitest";
import type { Azure } from "../../shared/azure/client.ts";
import { collectingRequests, noteRequest } from "../../shared/cloud-requests.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { createResourceActivities } from "../../shared/resources/activities.ts";
import { absent, type Begun, type Done, done, present, type Resource } from "../../shared/resources/resource.ts";
import type { Certificates } from "../../shared/vault/certificates.ts";
import { testStores, unique } from "../support/stores.ts";

const stores = testStores();

/** A cloud that holds one thing. `write` is what happens next when it is written to. */
let held: string | undefined;
let write: (value: string | undefined) => Done | Begun;
const thing: Resource<{ name: string; value: string }, { value: string }> = {
  kind: "thing",
  observe: async () => (held === undefined ? absent : present({ value: held })),
  diff: ({ value }, actual) => (value === actual.value ? [] : [{ path: "value", from: actual.value, to: value }]),
  create: async ({ value }) => write(value),
  update: async ({ value }) => write(value),
  remove: async () => write(undefined),
};
const settles = (value: string | undefined): Done => {
  noteRequest("azure", `wrote ${value}`);
  held = value;
  return done;
};
beforeEach(() => {
  held = undefined;
  write = settles;
});

// The subject ends where a cloud's long-running work is polled.
const nowhere = {} as Azure & Certificates;
const activities = createResourceActivities({ resources: { thing }, stores, azure: nowhere, certificates: nowhere });

async function operation() {
  const work = { partnerId: unique("partner"), tenantId: "contoso", operationId: unique("operation") };
  const steps = [{ name: "thing", title: "A thing", branch: "root" as const }];
  await stores.operations.create({ ...work, id: work.operationId, kind: "onboarding", requestHash: "", steps });
  const step = (value: string) => ({ work, step: "thing", kind: "thing", desired: { name: "our thing", value } });
  const log = async (): Promise<string[]> =>
    (await stores.audit.list(work, {}, 50)).items
      .toReversed()
      .map(({ action, outcome, error, requestIds }) => [action, outcome, error?.code, requestIds].filter(Boolean).join(" "));
  return { work, step, log };
}

test("what is made, changed and taken away is there with what it was and what it became", async () => {
  const { work, step, log } = await operation();
  await activities.ensureResource(step("one"));
  await activities.ensureResource(step("one"));
  await activities.ensureResource(step("two"));
  await activities.dropResource(step("two"));
  await activities.dropResource(step("two"));
  expect(await log()).toEqual([
    "create Started",
    "create Succeeded azure wrote one",
    "update Started",
    "update Succeeded azure wrote two",
    "remove Started",
    "remove Succeeded azure wrote undefined",
  ]);
  const started = (await stores.audit.list(work, {}, 50)).items.filter(({ outcome }) => outcome === "Started").toReversed();
  expect(started.map(({ before }) => before?.state)).toEqual(["absent", "present", "present"]);
  expect(started.map(({ changes }) => changes)).toEqual([
    [
      { path: "name", to: "our thing" },
      { path: "value", to: "one" },
    ],
    [{ path: "value", from: "one", to: "two" }],
    undefined,
  ]);
  expect(new Set(started.map(({ target }) => `${target.kind} ${target.name}`))).toEqual(new Set(["thing our thing"]));
  const { steps } = await stores.operations.get(work.partnerId, work.operationId);
  expect(started[0]?.before).toEqual({ state: "absent", ...steps[0]?.beforeImage });
});

test("a process that dies after the write: the next try finds it made, and ends what the first has begun", async () => {
  const { step, log } = await operation();
  const killed = createResourceActivities({
    resources: { thing },
    stores: { ...stores, audit: { ...stores.audit, end: () => new Promise<void>(() => undefined) } },
    azure: nowhere,
    certificates: nowhere,
  });
  let written = (): void => undefined;
  const dead = new Promise<void>((resolve) => (written = resolve));
  write = (value) => {
    written();
    return settles(value);
  };
  void killed.ensureResource(step("one"));
  await dead;
  await activities.ensureResource(step("one"));
  expect((await log()).map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual(["create Started", "create Succeeded"]);
  expect(await activities.ensureResource(step("one"))).toMatchObject({ change: "unchanged" });
  expect(await log()).toHaveLength(2);
});

test("a cloud that answers late, is busy or goes on working says so between begin and end", async () => {
  const { step, log } = await operation();
  write = () => {
    noteRequest("azure", "busy");
    throw new ControlPlaneError("AzureBusy", "writing the thing", 503, true);
  };
  await expect(activities.ensureResource(step("one"))).rejects.toMatchObject({ code: "AzureBusy" });
  write = (value) => {
    settles(value);
    return { state: "begun", operationUrl: "https://arm.example/operations/1", retryAfterInSeconds: 1 };
  };
  await activities.ensureResource(step("one"));
  await activities.ensureResource(step("one"));
  expect(await log()).toEqual([
    "create Started",
    "create Pending AzureBusy azure busy",
    "create Pending azure wrote one",
    "create Succeeded",
  ]);
});

test("what is refused for good has failed, in the try itself or when the cloud's work is polled", async () => {
  const first = await operation();
  write = () => {
    throw new ControlPlaneError("AzureRefused", "writing the thing", 409);
  };
  await expect(activities.ensureResource(first.step("one"))).rejects.toMatchObject({ code: "AzureRefused" });
  expect(await first.log()).toEqual(["create Started", "create Failed AzureRefused"]);

  const second = await operation();
  write = () => ({ state: "begun", operationUrl: "https://arm.example/operations/1", retryAfterInSeconds: 1 });
  await activities.ensureResource(second.step("one"));
  const failure = { code: "AllocationFailed", message: "the cloud's work failed", status: 502, transient: false };
  await activities.recordFailure({ work: second.work, step: "thing", failure });
  expect(await second.log()).toEqual(["create Started", "create Pending", "create Failed AllocationFailed"]);
});

test("a removal that is no step of its own is there, too; a look and a read-back are not", async () => {
  const { work, step, log } = await operation();
  held = "one";
  await activities.confirmResource(step("one"));
  await activities.removeResource({ work, kind: "thing", desired: step("one").desired });
  expect(await log()).toEqual(["remove Started", "remove Succeeded azure wrote undefined"]);
});

test("of requests that are sent at the same time each piece of work has its own", async () => {
  const ids = (name: string) =>
    collectingRequests(async (seen) => {
      noteRequest("graph", name);
      await Promise.resolve();
      noteRequest("graph", null);
      return [...seen];
    });
  expect(await Promise.all([ids("a"), ids("b")])).toEqual([["graph a"], ["graph b"]]);
});
