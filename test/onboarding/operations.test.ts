/** One operation at a time changes a tenant; who asks twice gets the same one; nobody sees another partner's. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ApiError, type ApiClient } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
const contoso = customer("contoso");
/** Waits for consent all the while. */
let operation: Operation;
beforeAll(async () => {
  platform = await startOnboarding();
  await platform.organize(contoso);
  await platform.register(contoso);
  operation = await platform.untilWaitingFor(await platform.start(contoso), "consent");
});
afterAll(() => platform.stop());

const outcomeOf = async (attempt: Promise<{ status: number }>): Promise<object> => {
  const outcome = await attempt.catch((error: unknown) => error);
  if (!(outcome instanceof ApiError)) return { status: (outcome as { status: number }).status };
  const { status, code, message } = outcome;
  return { status, code, message };
};

test("the same Operation-Id twice, and twice at once, is the same operation", async () => {
  const adatum = customer("contoso", "adatum");
  await platform.organize(adatum);
  await platform.register(adatum);
  const id = randomUUID();
  const ask = async () =>
    (await platform.northwind.startOnboarding({ tenantId: adatum.tenantId }, { headers: { "operation-id": id } })).body;
  const answers = [...(await Promise.all([ask(), ask(), ask()])), await ask()];
  expect(answers.map((answer) => answer.id)).toEqual([id, id, id, id]);
  const { value } = (await platform.northwind.listOperations({ tenantId: adatum.tenantId })).body;
  expect(value.map((one) => one.id)).toEqual([id]);
  await platform.untilWaitingFor(answers[0] as Operation, "consent");
});

test("of several asked for at the same moment exactly one runs, and the others are refused with its name", async () => {
  const wingtip = customer("contoso", "wingtip");
  await platform.organize(wingtip);
  await platform.register(wingtip);
  const { tenantId } = wingtip;
  const asked = await Promise.allSettled(
    [1, 2, 3, 4].map(async () => (await platform.northwind.startOnboarding({ tenantId })).body),
  );
  const begun = asked.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  expect(begun).toHaveLength(1);
  for (const one of asked)
    if (one.status === "rejected")
      expect(one.reason).toMatchObject({
        status: 409,
        code: "OperationInProgress",
        message: expect.stringContaining(begun[0]?.id ?? ""),
      });
  await platform.untilWaitingFor(begun[0] as Operation, "consent");
  const { value } = (await platform.northwind.listOperations({ tenantId, status: "Running" })).body;
  expect(value.map(({ id }) => id)).toEqual([begun[0]?.id]);
});

test("a second operation is refused while one runs, with its name", async () => {
  expect(await outcomeOf(platform.northwind.startOnboarding({ tenantId: contoso.tenantId }))).toMatchObject({
    status: 409,
    code: "OperationInProgress",
    message: expect.stringContaining(operation.id),
  });
});

test("an Operation-Id of another tenant is refused", async () => {
  const litware = customer("contoso", "litware");
  await platform.register(litware);
  const headers = { "operation-id": operation.id };
  expect(await outcomeOf(platform.northwind.startOnboarding({ tenantId: litware.tenantId }, { headers }))).toMatchObject({
    status: 400,
    code: "OperationIdReused",
  });
});

test("the spec of a tenant that is being onboarded stays as it is", async () => {
  const { tenantId, body } = contoso;
  const changed = { ...body, gateway: { ...body.gateway, services: {} } };
  expect(await outcomeOf(platform.northwind.putTenant({ tenantId, body: changed }))).toMatchObject({
    status: 409,
    code: "TenantInUse",
  });
  expect(await outcomeOf(platform.northwind.putTenant({ tenantId, body }))).toEqual({ status: 200 });
  expect(await outcomeOf(platform.northwind.deleteTenant({ tenantId }))).toMatchObject({ status: 409, code: "TenantInUse" });
});

test("another partner finds neither tenant nor operation, byte for byte as if there were none", async () => {
  const { tenantId } = contoso;
  const asks: [string, (api: ApiClient, tenant: string, id: string) => Promise<{ status: number }>][] = [
    ["tenant", (api, tenant) => api.getTenant({ tenantId: tenant })],
    ["plan", (api, tenant) => api.planOnboarding({ tenantId: tenant })],
    ["onboard", (api, tenant) => api.startOnboarding({ tenantId: tenant })],
    ["consent", (api, tenant) => api.getConsent({ tenantId: tenant })],
    ["delete", (api, tenant) => api.deleteTenant({ tenantId: tenant })],
    ["operation", (api, _, id) => api.getOperation({ operationId: id })],
    ["retry", (api, _, id) => api.retryOperation({ operationId: id })],
    ["cancel", (api, _, id) => api.cancelOperation({ operationId: id })],
  ];
  for (const [what, ask] of asks) {
    const nobodys = { tenant: "contoso-0", id: randomUUID() };
    const absent = JSON.stringify(await outcomeOf(ask(platform.tailspin, nobodys.tenant, nobodys.id)));
    const foreign = JSON.stringify(await outcomeOf(ask(platform.tailspin, tenantId, operation.id)));
    expect(foreign, what).toBe(absent.replaceAll(nobodys.tenant, tenantId).replaceAll(nobodys.id, operation.id));
    expect(foreign, what).toContain("404");
  }
  const { value: tenants } = (await platform.tailspin.listTenants({})).body;
  expect(tenants.map(({ id }) => id)).not.toContain(tenantId);
  const { value: operations } = (await platform.tailspin.listOperations({})).body;
  expect(operations.map(({ id }) => id)).not.toContain(operation.id);
});

test("another partner's tenant of the same name is another tenant", async () => {
  const { tenantId } = contoso;
  const own = { ...customer("fabrikam"), tenantId };
  await platform.register(own, platform.tailspin);
  expect((await platform.tailspin.getTenant({ tenantId })).body).toMatchObject({ stage: "registered", spec: own.spec });
  expect((await platform.northwind.getTenant({ tenantId })).body).toMatchObject({ stage: "registered", spec: contoso.spec });
});

test("another partner can't onboard the same customer: its consent was given for one of them only", async () => {
  const before = await platform.now();
  const theirs = { ...contoso, tenantId: `${contoso.tenantId}-too` };
  await platform.register(theirs, platform.tailspin);
  expect(await outcomeOf(platform.tailspin.startOnboarding({ tenantId: theirs.tenantId }))).toMatchObject({
    status: 409,
    code: "CustomerTaken",
    message: expect.not.stringContaining("northwind"),
  });
  expect(writes(await platform.record(before))).toEqual([]);
});

test("canceled while it waits for a person, it ends at once, has nothing left standing, and lets another one begin", async () => {
  const { id } = operation;
  const told = await platform.northwind.cancelOperation({ operationId: id });
  expect({ status: told.status, by: told.body.cancel?.by }).toEqual({ status: 202, by: "partner northwind" });
  const ended = await platform.untilEnded(operation, { consent: "never" });
  expect(ended).toMatchObject({ status: "Canceled", error: { code: "OperationCanceled" }, leftStanding: [] });
  expect(ended.waitingFor).toBeUndefined();
  expect((await platform.northwind.cancelOperation({ operationId: id })).body.status).toBe("Canceled");
  const next = await platform.untilWaitingFor(await platform.start(contoso), "consent");
  expect(next.id).not.toBe(id);
  await expect(platform.northwind.retryOperation({ operationId: id })).rejects.toMatchObject({
    code: "OperationInProgress",
    message: expect.stringContaining(next.id),
  });
  await platform.northwind.cancelOperation({ operationId: next.id });
  await platform.untilEnded(next, { consent: "never" });
  const again = (await platform.northwind.retryOperation({ operationId: id })).body;
  expect(await platform.untilWaitingFor(again, "consent")).toMatchObject({ id, attempt: 2, waitingFor: { kind: "consent" } });
});

test("an operator reads both partners' tenants and changes none", async () => {
  const { tenantId } = contoso;
  expect((await platform.operator.getTenant({ tenantId, partnerId: "northwind" })).body).toMatchObject({ spec: contoso.spec });
  expect(await outcomeOf(platform.operator.startOnboarding({ tenantId }))).toMatchObject({ status: 403, code: "RoleRequired" });
});
