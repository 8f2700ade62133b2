/** Operations: begun once, every step remembered, newest first. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { NewOperation } from "../../shared/stores/operations.ts";
import { testStores, unique } from "../support/stores.ts";

const clock = { time: Date.parse("2026-11-01T00:00:00Z"), now: () => clock.time };
const { operations } = testStores(clock);
const pass = (seconds: number) => void (clock.time += seconds * 1000);

const begin = async (changes: Partial<NewOperation> = {}) => {
  const wanted: NewOperation = {
    partnerId: unique("partner"),
    tenantId: "contoso",
    id: randomUUID(),
    kind: "onboarding",
    requestHash: "hash",
    steps: [
      { name: "consent", title: "Admin consent", branch: "access" },
      { name: "resourceGroup", title: "Resource group", branch: "root" },
      { name: "gatewayVm", title: "Gateway", branch: "gateway" },
      { name: "inboundConnector", title: "Inbound connector", branch: "mailFlow" },
    ],
    ...changes,
  };
  return { wanted, ...(await operations.create(wanted)) };
};

test("asking twice begins once", async () => {
  const { wanted, operation, created } = await begin();
  expect(created).toBe(true);
  expect(await operations.create(wanted)).toEqual({ operation, created: false });
});

test("of many who ask at once with one id, one begins", async () => {
  const partnerId = unique("partner");
  const id = randomUUID();
  const results = await Promise.all(Array.from({ length: 5 }, () => begin({ partnerId, id })));
  expect(results.filter(({ created }) => created)).toHaveLength(1);
});

test("a tenant of many machines has more steps than a transaction has room for; they keep their order", async () => {
  const steps = Array.from({ length: 231 }, (_, index) => ({
    name: `step-${index}`,
    title: `Step ${index}`,
    branch: "gateway" as const,
  }));
  const { wanted, operation } = await begin({ steps });
  expect(operation.steps.map(({ name }) => name)).toEqual(steps.map(({ name }) => name));
  const { partnerId, id } = wanted;
  expect((await operations.get(partnerId, id)).steps).toEqual(operation.steps);
  await operations.recordStep(partnerId, id, "step-230", { status: "Running" });
  expect(await operations.create(wanted)).toMatchObject({ created: false, operation: { steps: { length: 231 } } });
  expect((await operations.get(partnerId, id)).steps.at(-1)).toMatchObject({ name: "step-230", status: "Running" });
});

test("of many who ask at once for one with many steps, all see all of its steps", async () => {
  const steps = Array.from({ length: 150 }, (_, index) => ({ name: `step-${index}`, title: "Step", branch: "gateway" as const }));
  const partnerId = unique("partner");
  const id = randomUUID();
  const results = await Promise.all(Array.from({ length: 5 }, () => begin({ partnerId, id, steps })));
  for (const { operation } of results) expect(operation.steps).toHaveLength(150);
});

test("the same id for another request is refused", async () => {
  const { wanted } = await begin();
  await expect(operations.create({ ...wanted, requestHash: "other" })).rejects.toMatchObject({
    code: "OperationIdReused",
    status: 400,
  });
});

test("two partners may use the same id and see their own", async () => {
  const id = randomUUID();
  const one = await begin({ id });
  const other = await begin({ id, tenantId: "fabrikam" });
  expect((await operations.get(one.wanted.partnerId, id)).tenantId).toBe("contoso");
  expect((await operations.get(other.wanted.partnerId, id)).tenantId).toBe("fabrikam");
  await expect(operations.get(unique("third"), id)).rejects.toMatchObject({ code: "OperationNotFound", status: 404 });
});

test("a step's tries, times and outcome are remembered, and the percentage follows", async () => {
  const { wanted } = await begin();
  const record = (status: "Running" | "Succeeded", change?: "created") =>
    operations.recordStep(wanted.partnerId, wanted.id, "resourceGroup", { status, ...(change ? { change } : {}) });
  await record("Running");
  pass(5);
  await operations.recordStep(wanted.partnerId, wanted.id, "resourceGroup", {
    status: "Failed",
    error: { code: "Busy", message: "too many requests" },
  });
  pass(5);
  await record("Running");
  pass(5);
  const operation = await record("Succeeded", "created");
  expect(operation.steps[1]).toEqual({
    name: "resourceGroup",
    title: "Resource group",
    branch: "root",
    status: "Succeeded",
    tries: 2,
    startedAt: expect.any(String),
    endedAt: new Date(clock.time).toISOString(),
    change: "created",
  });
  expect(operation.percentComplete).toBe(25);
  expect(await operations.get(wanted.partnerId, wanted.id)).toEqual(operation);
});

test("recording the same outcome again changes nothing", async () => {
  const { wanted } = await begin();
  const first = await operations.recordStep(wanted.partnerId, wanted.id, "consent", { status: "Succeeded" });
  pass(60);
  expect(await operations.recordStep(wanted.partnerId, wanted.id, "consent", { status: "Succeeded" })).toEqual(first);
});

test("a second delivery that comes late neither begins a step after the end nor skips what was done", async () => {
  const { wanted } = await begin();
  const { partnerId, id } = wanted;
  const late = async (status: "Running" | "Skipped") =>
    (await operations.recordStep(partnerId, id, "gatewayVm", { status })).steps.find(({ name }) => name === "gatewayVm");
  await operations.recordProgress(partnerId, id, { status: "Running" });
  await operations.recordStep(partnerId, id, "gatewayVm", { status: "Running" });
  await operations.recordStep(partnerId, id, "gatewayVm", { status: "Succeeded", change: "created" });
  expect(await late("Skipped")).toMatchObject({ status: "Succeeded", change: "created" });
  await operations.recordProgress(partnerId, id, { status: "Succeeded" });
  expect(await late("Running")).toMatchObject({ status: "Succeeded", tries: 1 });
});

test("three branches that record at once lose nothing", async () => {
  const { wanted } = await begin();
  const names = ["resourceGroup", "gatewayVm", "inboundConnector"];
  await Promise.all(names.map((name) => operations.recordStep(wanted.partnerId, wanted.id, name, { status: "Succeeded" })));
  const { steps, percentComplete } = await operations.get(wanted.partnerId, wanted.id);
  expect({ statuses: steps.map(({ status }) => status), percentComplete }).toEqual({
    statuses: ["Pending", "Succeeded", "Succeeded", "Succeeded"],
    percentComplete: 75,
  });
});

test("a step that doesn't exist can't be recorded", async () => {
  const { wanted } = await begin();
  await expect(operations.recordStep(wanted.partnerId, wanted.id, "nothing", { status: "Running" })).rejects.toMatchObject({
    code: "StepUnknown",
  });
});

test("waiting has a beginning that stays while the wait is the same, and an end", async () => {
  const { wanted } = await begin();
  const wait = (message: string) =>
    operations.recordProgress(wanted.partnerId, wanted.id, { status: "Running", waitingFor: { kind: "consent", message } });
  const first = await wait("an administrator of contoso has to consent");
  pass(60);
  const second = await wait("an administrator of contoso has to consent");
  expect(second).toEqual(first);
  const over = await operations.recordProgress(wanted.partnerId, wanted.id, { waitingFor: null });
  expect(over.waitingFor).toBeUndefined();
});

test("an end is an end: result, 100 percent, no error left from before", async () => {
  const { wanted } = await begin();
  await operations.recordProgress(wanted.partnerId, wanted.id, {
    status: "Failed",
    error: { code: "Busy", message: "too many requests" },
  });
  const ended = await operations.recordProgress(wanted.partnerId, wanted.id, {
    status: "Succeeded",
    error: null,
    result: { hops: ["203.0.113.7"] },
  });
  expect(ended).toMatchObject({ status: "Succeeded", percentComplete: 100, result: { hops: ["203.0.113.7"] } });
  expect(ended.error).toBeUndefined();
});

test("the list has the newest first, by tenant and by status", async () => {
  const partnerId = unique("partner");
  const ids: string[] = [];
  for (const tenantId of ["contoso", "fabrikam", "contoso"]) {
    pass(1);
    ids.push((await begin({ partnerId, tenantId })).wanted.id);
  }
  await operations.recordProgress(partnerId, ids[0] ?? "", { status: "Succeeded" });
  const listed = async (filter: Parameters<typeof operations.list>[1]) =>
    (await operations.list(partnerId, filter, 10)).items.map(({ id }) => id);
  // What has said something of itself is there; the others once they begin.
  expect(await listed({})).toEqual([ids[0]]);
  for (const id of ids) await operations.show(partnerId, id);
  expect(await listed({})).toEqual(ids.toReversed());
  expect(await listed({ tenantId: "contoso" })).toEqual([ids[2], ids[0]]);
  expect(await listed({ status: "Succeeded" })).toEqual([ids[0]]);
});

test("a before-image is what was there before the operation, however often the step runs", async () => {
  const { wanted } = await begin();
  const before = { name: "FROM Azure VM to M365", enabled: true };
  const first = await operations.recordBeforeImage(wanted.partnerId, wanted.id, "inboundConnector", "updated", before);
  const second = await operations.recordBeforeImage(wanted.partnerId, wanted.id, "inboundConnector", "updated", {
    changed: "by the first run",
  });
  expect(second).toEqual(first);
  expect(await operations.readBeforeImage(first)).toEqual(before);
});

test("of two runs of a step at once, both keep the same before-image", async () => {
  const { wanted } = await begin();
  const record = (image: unknown) => operations.recordBeforeImage(wanted.partnerId, wanted.id, "gatewayVm", "updated", image);
  const [one, other] = await Promise.all([record({ size: "Standard_D4as_v5" }), record({ size: "Standard_D8as_v5" })]);
  expect(one).toEqual(other);
  expect(await operations.readBeforeImage(one)).toHaveProperty("size");
});

test("a before-image that was tampered with is not given out", async () => {
  const { wanted } = await begin();
  const image = await operations.recordBeforeImage(wanted.partnerId, wanted.id, "gatewayVm", "updated", {
    size: "Standard_D4as_v5",
  });
  await expect(operations.readBeforeImage({ ...image, hash: "0".repeat(64) })).rejects.toMatchObject({
    code: "BeforeImageDamaged",
  });
});
