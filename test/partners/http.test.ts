/** Partners over the wire: operators register who may call, and what is registered counts at once. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type TestApi } from "../support/api.ts";
import { unique } from "../support/stores.ts";

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.stop());

const registration = () => ({ displayName: "Northwind IT", entraTenantId: randomUUID(), clientId: randomUUID() });

test("registering twice is registering once", async () => {
  const partnerId = unique("northwind");
  const body = registration();
  const first = await api.operator.api.putPartner({ partnerId, body });
  const second = await api.operator.api.putPartner({ partnerId, body });
  expect([first.status, second.status, second.etag]).toEqual([201, 200, first.etag]);
  expect(second.body).toEqual(first.body);
  expect(first.body).toMatchObject({ id: partnerId, ...body, etag: first.etag });
});

test("a partner may call from the moment that it is registered, and its old client no longer from the moment that it has a new one", async () => {
  const partnerId = unique("northwind");
  const { displayName, ...pair } = registration();
  const token = await api.issuer.token({ tid: pair.entraTenantId, azp: pair.clientId });
  const me = () => api.request("GET", "/api/me", { token });
  expect((await me()).status).toBe(403);
  await api.operator.api.putPartner({ partnerId, body: { displayName, ...pair } });
  expect(await (await me()).json()).toEqual({ role: "Partner", partnerId, displayName, ...pair });
  await api.operator.api.putPartner({ partnerId, body: { displayName, ...pair, clientId: randomUUID() } });
  expect((await me()).status).toBe(403);
});

test("a pair of another partner is refused", async () => {
  const body = registration();
  await api.operator.api.putPartner({ partnerId: unique("first"), body });
  await expect(api.operator.api.putPartner({ partnerId: unique("second"), body })).rejects.toMatchObject({
    status: 409,
    code: "PartnerClientInUse",
  });
});

test("a partner is read with its ETag, and changed only over the version that was read", async () => {
  const partnerId = unique("northwind");
  const body = registration();
  const { etag = "" } = await api.operator.api.putPartner({ partnerId, body });
  expect((await api.operator.api.getPartner({ partnerId })).etag).toBe(etag);
  const renamed = { ...body, displayName: "Northwind" };
  await api.operator.api.putPartner({ partnerId, body: renamed }, { headers: { "if-match": etag } });
  await expect(api.operator.api.putPartner({ partnerId, body }, { headers: { "if-match": etag } })).rejects.toMatchObject({
    status: 412,
  });
});

test("the list has every partner", async () => {
  const partnerId = unique("northwind");
  await api.operator.api.putPartner({ partnerId, body: registration() });
  const { body } = await api.operator.api.listPartners({ maxpagesize: 200 });
  expect(body.value.map(({ id }) => id)).toContain(partnerId);
});

test("an unknown partner is 404", async () => {
  await expect(api.operator.api.getPartner({ partnerId: unique("nobody") })).rejects.toMatchObject({
    status: 404,
    code: "PartnerNotFound",
  });
});

test("an operator is told that it is one", async () => {
  expect((await api.operator.api.getMe({})).body).toMatchObject({ role: "Operator", entraTenantId: api.issuer.homeTenantId });
});
