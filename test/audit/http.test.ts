/** The API in the audit log: who asked for what and what was answered; and who may read it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { verified } from "../../shared/stores/audit-chain.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";
import { customer } from "../support/onboarding.ts";

let api: TestApi;
let partner: TestPartner;
const { body: spec } = customer("contoso");
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

const entriesOf = async (tenantId: string) => (await partner.api.listAudit({ tenantId })).body.value;

test("a call is there with its caller and its body before it is carried out, and with its answer afterwards", async () => {
  const { entraTenantId, clientId } = partner;
  await partner.api.putTenant({ tenantId: "contoso", body: spec });
  const [end, start] = await entriesOf("contoso");
  expect(start).toMatchObject({
    sequence: 1,
    actor: { kind: "partner", entraTenantId, clientId },
    action: "putTenant",
    target: { kind: "tenant", name: "contoso" },
    request: { displayName: spec.displayName },
    outcome: "Started",
  });
  expect(end).toMatchObject({ sequence: 2, started: 1, outcome: "Succeeded", actor: { clientId }, previousHash: start?.hash });
});

test("a refused call is there with its refusal; looks are not", async () => {
  await partner.api.putTenant({ tenantId: "fabrikam", body: spec });
  await partner.api.getTenant({ tenantId: "fabrikam" });
  await expect(partner.api.startOffboarding({ tenantId: "fabrikam", body: { confirm: "another" } })).rejects.toMatchObject({
    code: "ConfirmationMissing",
  });
  expect((await entriesOf("fabrikam")).map(({ action, outcome, error }) => [action, outcome, error?.code])).toEqual([
    ["startOffboarding", "Failed", "ConfirmationMissing"],
    ["startOffboarding", "Started", undefined],
    ["putTenant", "Succeeded", undefined],
    ["putTenant", "Started", undefined],
  ]);
});

test("what is about an operation stands in its tenant's log, and is found by the operation", async () => {
  const { partnerId } = partner;
  await partner.api.putTenant({ tenantId: "adatum", body: spec });
  const operationId = "operation-of-adatum";
  const wanted = { partnerId, tenantId: "adatum", id: operationId, kind: "onboarding" as const, requestHash: "", steps: [] };
  await api.world.stores.operations.create(wanted);
  await partner.api.cancelOperation({ operationId });
  const { value } = (await partner.api.listAudit({ tenantId: "adatum", operationId })).body;
  expect(value).toMatchObject([
    { action: "cancelOperation", target: { kind: "operation", name: operationId }, outcome: "Succeeded" },
  ]);
});

test("an operator reads the tenant's log of the partner that it names, and the partner's own; nobody else does", async () => {
  const { partnerId } = partner;
  const stranger = await api.partner();
  await expect(stranger.api.listAudit({ tenantId: "contoso" })).rejects.toMatchObject({ code: "TenantNotFound" });
  await expect(stranger.api.listAudit({ tenantId: "contoso", partnerId })).rejects.toMatchObject({ status: 403 });
  await expect(partner.api.listPartnerAudit({ partnerId })).rejects.toMatchObject({ status: 403 });
  expect((await api.operator.api.listAudit({ tenantId: "contoso", partnerId })).body.value).toEqual(await entriesOf("contoso"));
  const own = (await api.operator.api.listPartnerAudit({ partnerId })).body.value;
  expect(own).toMatchObject([
    { actor: { kind: "operator" }, action: "putPartner", target: { kind: "partner", name: partnerId }, outcome: "Succeeded" },
    { outcome: "Started" },
  ]);
});

test("what operators did that is about no partner they read, and no partner does", async () => {
  const timer = "noSuchTimer";
  await expect(api.operator.api.runSchedule({ timer })).rejects.toMatchObject({ code: "ScheduleNotFound" });
  await expect(partner.api.listOperatorAudit({})).rejects.toMatchObject({ status: 403 });
  const { value } = (await api.operator.api.listOperatorAudit({ maxpagesize: 2 })).body;
  expect(value).toMatchObject([
    { actor: { kind: "operator" }, action: "runSchedule", outcome: "Failed", error: { code: "ScheduleNotFound" } },
    { action: "runSchedule", outcome: "Started", target: { name: timer } },
  ]);
});

test("pages are linked, and the chain is whole", async () => {
  const { partnerId } = partner;
  for (let times = 0; times < 3; times++) await partner.api.putTenant({ tenantId: "contoso", body: spec });
  const first = (await partner.api.listAudit({ tenantId: "contoso", maxpagesize: 3 })).body;
  expect(first.value.map(({ sequence }) => sequence)).toEqual([8, 7, 6]);
  const second = await fetch(first.nextLink ?? "", { headers: { authorization: `Bearer ${partner.token}` } });
  expect(((await second.json()) as typeof first).value.map(({ sequence }) => sequence)).toEqual([5, 4, 3]);
  const owner = { partnerId, tenantId: "contoso" };
  expect(verified(owner, await api.world.stores.audit.segments(owner))).toMatchObject({ entries: 8, problems: [] });
});
