/** Operations over the wire: the status monitor and the list. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

const begin = async (tenantId = "contoso") => {
  const id = randomUUID();
  const { partnerId } = partner;
  const steps = [
    { name: "consent", title: "Admin consent", branch: "access" as const },
    { name: "resourceGroup", title: "Resource group", branch: "root" as const },
  ];
  await api.world.stores.operations.create({ partnerId, tenantId, id, kind: "onboarding", requestHash: "hash", steps });
  await api.world.stores.operations.show(partnerId, id);
  return id;
};

test("the monitor shows the steps, what is waited for, and when to look again", async () => {
  const { operations } = api.world.stores;
  const operationId = await begin();
  await operations.recordStep(partner.partnerId, operationId, "consent", { status: "Running" });
  await operations.recordProgress(partner.partnerId, operationId, {
    status: "Running",
    waitingFor: {
      kind: "consent",
      url: "https://login.example/adminconsent",
      message: "an administrator of contoso.example has to consent",
    },
  });
  const { body, headers } = await partner.api.getOperation({ operationId });
  expect(body).toMatchObject({
    id: operationId,
    kind: "onboarding",
    tenantId: "contoso",
    status: "Running",
    percentComplete: 0,
    waitingFor: { kind: "consent", since: expect.any(String) },
    steps: [
      { name: "consent", status: "Running", tries: 1 },
      { name: "resourceGroup", status: "Pending", tries: 0 },
    ],
  });
  expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
});

test("nothing of the inside is shown", async () => {
  const operationId = await begin();
  await api.world.stores.operations.recordBeforeImage(partner.partnerId, operationId, "resourceGroup", "created", { tags: {} });
  const text = await (await api.request("GET", `/api/operations/${operationId}`, { token: partner.token })).text();
  for (const inner of ["partnerId", "requestHash", "blob"]) expect(text).not.toContain(inner);
});

test("an operation that has ended doesn't ask to be looked at again", async () => {
  const operationId = await begin();
  await api.world.stores.operations.recordProgress(partner.partnerId, operationId, {
    status: "Succeeded",
    result: { stage: "pilot" },
  });
  const { body, headers } = await partner.api.getOperation({ operationId });
  expect([body.status, body.percentComplete, body.result, headers.has("retry-after")]).toEqual([
    "Succeeded",
    100,
    { stage: "pilot" },
    false,
  ]);
});

test("whoever looks again is told when nothing has happened, and told when a step has", async () => {
  const operationId = await begin();
  const look = (etag: string) =>
    api.request("GET", `/api/operations/${operationId}`, { token: partner.token, headers: { "if-none-match": etag } });
  const { etag = "" } = await partner.api.getOperation({ operationId });
  expect((await look(etag)).status).toBe(304);
  await api.world.stores.operations.recordStep(partner.partnerId, operationId, "consent", { status: "Succeeded" });
  expect((await look(etag)).status).toBe(200);
});

test("the list is newest first, by tenant and by status, page by page", async () => {
  const tenantId = "listed";
  const ids = [await begin(tenantId), await begin(tenantId), await begin(tenantId)];
  await api.world.stores.operations.recordProgress(partner.partnerId, ids[1] ?? "", {
    status: "Failed",
    error: { code: "Busy", message: "too many requests" },
  });
  const all = await partner.api.listOperations({ tenantId });
  expect(all.body.value.map(({ id }) => id)).toHaveLength(3);
  const { body: failed } = await partner.api.listOperations({ tenantId, status: "Failed" });
  expect(failed.value).toMatchObject([{ id: ids[1], error: { code: "Busy" } }]);
  const { body: page } = await partner.api.listOperations({ tenantId, maxpagesize: 2 });
  const rest = await (await fetch(page.nextLink ?? "", { headers: { authorization: `Bearer ${partner.token}` } })).json();
  expect([...page.value, ...(rest as typeof page).value].map(({ id }) => id)).toEqual(all.body.value.map(({ id }) => id));
});

test("one that was never begun is canceled at once, twice is once, and one that has ended is not", async () => {
  const operationId = await begin();
  const first = (await partner.api.cancelOperation({ operationId })).body;
  expect(first).toMatchObject({ status: "Canceled", cancel: { by: `partner ${partner.partnerId}` } });
  expect((await partner.api.cancelOperation({ operationId })).body).toEqual(first);
  const done = await begin();
  await api.world.stores.operations.recordProgress(partner.partnerId, done, { status: "Succeeded" });
  await expect(partner.api.cancelOperation({ operationId: done })).rejects.toMatchObject({ status: 409, code: "OperationEnded" });
});

test("one whose orchestration is gone is canceled at once, and says what it has left standing", async () => {
  const { operations } = api.world.stores;
  const operationId = await begin();
  await operations.recordProgress(partner.partnerId, operationId, { status: "Running" });
  await operations.recordStep(partner.partnerId, operationId, "resourceGroup", { status: "Succeeded", change: "created" });
  const { partnerId } = partner;
  const { body } = await api.operator.api.cancelOperation({ operationId, partnerId });
  expect(body).toMatchObject({
    status: "Canceled",
    leftStanding: [{ step: "resourceGroup", title: "Resource group", change: "created" }],
  });
});

test("an operator skips what waits for a machine's word, with a reason that stays; nobody skips a proof that protects mail", async () => {
  const { partnerId } = partner;
  const id = randomUUID();
  const steps = ["emptyQueues", "drained-2", "aroundGateway", "probeMail", "consent", "resourceGroup"].map((name) => ({
    name,
    title: name,
    branch: "proof" as const,
  }));
  await api.world.stores.operations.create({ partnerId, tenantId: "contoso", id, kind: "offboarding", requestHash: "h", steps });
  const body = { reason: "the machine was lost with its disk" };
  const skip = (step: string, by = api.operator.api) => by.skipStep({ operationId: id, step, partnerId, body });
  for (const step of ["emptyQueues", "drained-2", "emptyQueues"]) expect((await skip(step)).status).toBe(202);
  const { body: seen } = await partner.api.getOperation({ operationId: id });
  expect(seen.steps.slice(0, 2)).toMatchObject([
    { name: "emptyQueues", status: "Skipped", skipped: { reason: body.reason, by: expect.stringMatching(/^operator /) } },
    { name: "drained-2", status: "Skipped" },
  ]);
  for (const step of ["aroundGateway", "probeMail", "consent", "resourceGroup"])
    await expect(skip(step)).rejects.toMatchObject({ status: 409, code: "StepNotSkippable" });
  await expect(skip("nothing")).rejects.toMatchObject({ status: 404, code: "StepNotFound" });
  await expect(skip("emptyQueues", partner.api)).rejects.toMatchObject({ status: 403, code: "RoleRequired" });
});
