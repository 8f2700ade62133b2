/** Tenants over the wire: registered, read, changed before anything is built, deleted before anything is built. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

const { tenantId: _, ...spec } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

let count = 0;
const register = async () => {
  const tenantId = `tenant-${(count += 1)}`;
  return { tenantId, ...(await partner.api.putTenant({ tenantId, body: spec })) };
};
const onboard = (tenantId: string) =>
  api.world.stores.tenants.change(partner.partnerId, tenantId, () => ({ operationId: randomUUID(), stage: "onboarding" }));

test("a new tenant is registered, with what was left out filled in and links to go on", async () => {
  const { tenantId, status, body } = await register();
  expect(status).toBe(201);
  expect(body).toMatchObject({
    id: tenantId,
    stage: "registered",
    conditions: [{ type: "Ready", status: "False", reason: "Registered" }],
    spec: {
      connectionFilter: true,
      gateway: { placement: "automatic", disk: "Premium_LRS", regions: [{ name: "westeurope", machines: 1 }] },
    },
  });
  const response = await fetch(body.links.self, { headers: { authorization: `Bearer ${partner.token}` } });
  expect(await response.json()).toMatchObject({ id: tenantId });
});

test("what is inside stays inside", async () => {
  const { tenantId } = await register();
  await api.world.stores.tenants.change(partner.partnerId, tenantId, () => ({
    facts: { loopGuid: { vaultUrl: "https://vault.example", name: "loop", version: "1" } },
  }));
  const text = await (await api.request("GET", `/api/tenants/${tenantId}`, { token: partner.token })).text();
  expect([text.includes("loopGuid"), text.includes("partnerId")]).toEqual([false, false]);
});

test("the same spec again changes nothing, whatever was left out", async () => {
  const { tenantId, etag } = await register();
  const again = await partner.api.putTenant({ tenantId, body: { ...spec, connectionFilter: true } });
  expect([again.status, again.etag]).toEqual([200, etag]);
});

test("another spec is taken while nothing was built from the first", async () => {
  const { tenantId } = await register();
  const changed = await partner.api.putTenant({ tenantId, body: { ...spec, displayName: "Contoso Ltd" } });
  expect([changed.status, changed.body.spec.displayName]).toEqual([200, "Contoso Ltd"]);
});

test("of many who register one id at once, one creates it and all get it", async () => {
  const answers = await Promise.all(Array.from({ length: 4 }, () => partner.api.putTenant({ tenantId: "crowded", body: spec })));
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  expect(new Set(answers.map(({ etag }) => etag)).size).toBe(1);
});

test("once its onboarding has begun, a tenant keeps its spec and its row", async () => {
  const { tenantId } = await register();
  await onboard(tenantId);
  await expect(partner.api.putTenant({ tenantId, body: { ...spec, displayName: "Contoso Ltd" } })).rejects.toMatchObject({
    status: 409,
    code: "TenantInUse",
  });
  await expect(partner.api.deleteTenant({ tenantId })).rejects.toMatchObject({
    status: 409,
    code: "TenantInUse",
    message: expect.stringContaining("onboarding"),
  });
  expect((await partner.api.putTenant({ tenantId, body: spec })).status).toBe(200);
  expect((await partner.api.getTenant({ tenantId })).body).toMatchObject({
    stage: "onboarding",
    links: { operation: expect.stringContaining("/api/operations/") },
  });
});

test("a tenant that was never onboarded is deleted, and its id is free again", async () => {
  const { tenantId } = await register();
  expect((await partner.api.deleteTenant({ tenantId })).status).toBe(204);
  await expect(partner.api.getTenant({ tenantId })).rejects.toMatchObject({ status: 404, code: "TenantNotFound" });
  await expect(partner.api.deleteTenant({ tenantId })).rejects.toMatchObject({ status: 404 });
  expect((await partner.api.putTenant({ tenantId, body: spec })).status).toBe(201);
});

test("a tenant that was changed since it was read is not deleted", async () => {
  const { tenantId, etag = "" } = await register();
  await partner.api.putTenant({ tenantId, body: { ...spec, displayName: "Contoso Ltd" } });
  await expect(partner.api.deleteTenant({ tenantId }, { headers: { "if-match": etag } })).rejects.toMatchObject({ status: 412 });
});

test("a spec that would let anybody in by RDP and names a mailbox elsewhere is refused with both fields", async () => {
  const services = { rdp: { sources: ["0.0.0.0/0"] } };
  const wrong = { ...spec, pilot: { addresses: ["pilot@fabrikam.example"] }, gateway: { ...spec.gateway, services } };
  await expect(partner.api.putTenant({ tenantId: "wrong", body: wrong })).rejects.toMatchObject({
    status: 400,
    details: [{ target: "gateway.services.rdp.sources[0]" }, { target: "pilot.addresses[0]" }],
  });
  await expect(partner.api.getTenant({ tenantId: "wrong" })).rejects.toMatchObject({ status: 404 });
});
