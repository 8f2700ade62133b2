/** Webhooks over the wire: registered, shown, changed, given new secrets and taken away. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";
import { unique } from "../support/stores.ts";

let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

const url = "https://hooks.northwind.example/gatehouse";

test("the answer that makes a webhook has its secret, and no other answer, row or log line has it", async () => {
  const webhookId = unique("hook");
  const first = await partner.api.putWebhook({ webhookId, body: { url, types: ["gateway.*"] } });
  expect([first.status, first.headers.get("cache-control")]).toEqual([201, "no-store"]);
  const { secret = "", ...shown } = first.body;
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  const again = await partner.api.putWebhook({ webhookId, body: { url, types: ["gateway.*"] } });
  expect([again.status, again.body]).toEqual([200, shown]);
  expect((await partner.api.getWebhook({ webhookId })).body).toEqual(shown);
  const { value } = (await api.operator.api.listWebhooks({ partnerId: partner.partnerId })).body;
  expect(value.find(({ id }) => id === webhookId)).toEqual(shown);
  const kept = JSON.stringify([await api.world.stores.webhooks.get(partner.partnerId, webhookId), api.logged]);
  expect(kept).not.toContain(secret.slice(6));
});

test.each([
  ["http://hooks.northwind.example/", "url"],
  ["https://127.0.0.1/", "url"],
  ["https://hooks.northwind.example:8443/", "url"],
  ["https://2130706433/", "url"],
])("%s is refused, and the field is named", async (bad, target) => {
  await expect(partner.api.putWebhook({ webhookId: "bad-one", body: { url: bad } })).rejects.toMatchObject({
    status: 400,
    details: [{ target }],
  });
});

test("types are of the form of events' types, or their first words", async () => {
  for (const types of [["*"], ["gateway.*.changed"], ["Gateway.health"], []])
    await expect(partner.api.putWebhook({ webhookId: "bad-one", body: { url, types } })).rejects.toMatchObject({ status: 400 });
});

test("it is changed and deleted over the version that was read", async () => {
  const webhookId = unique("hook");
  const { body: made, headers } = await partner.api.putWebhook({ webhookId, body: { url } });
  expect(headers.get("etag")).toBe(made.etag);
  const path = `/api/webhooks/${webhookId}`;
  const send = (method: string, ifMatch: string, body?: object) =>
    api.request(method, path, {
      token: partner.token,
      headers: { "if-match": ifMatch },
      ...(body === undefined ? {} : { body }),
    });
  const changed = await send("PUT", made.etag, { url, enabled: false });
  expect([changed.status, await changed.json()]).toMatchObject([200, { enabled: false, disabledReason: "Asked" }]);
  expect((await send("PUT", made.etag, { url })).status).toBe(412);
  expect((await send("DELETE", made.etag)).status).toBe(412);
  await expect(partner.api.testWebhook({ webhookId })).rejects.toMatchObject({ status: 409, code: "WebhookDisabled" });
  expect((await partner.api.deleteWebhook({ webhookId })).status).toBe(204);
  await expect(partner.api.getWebhook({ webhookId })).rejects.toMatchObject({ status: 404, code: "WebhookNotFound" });
});

test("a new secret overlaps with the one before; a compromised one is over at once", async () => {
  const webhookId = unique("hook");
  const first = (await partner.api.putWebhook({ webhookId, body: { url } })).body;
  const second = (await partner.api.rotateWebhookSecret({ webhookId })).body;
  expect(second.secret).not.toBe(first.secret);
  expect(Date.parse(second.overlapEndsAt ?? "") - Date.parse(second.lastUpdatedAt)).toBeGreaterThan(23 * 3600 * 1000);
  // Asked three times more, because the answers were lost: the receiver's own secret still signs.
  for (const _ of [1, 2, 3]) await partner.api.rotateWebhookSecret({ webhookId });
  const { secrets } = await api.world.stores.webhooks.get(partner.partnerId, webhookId);
  expect(secrets).toHaveLength(3);
  const { body: third } = await partner.api.rotateWebhookSecret({ webhookId, body: { compromised: true } });
  expect([third.secret === second.secret, third.overlapEndsAt]).toEqual([false, undefined]);
  expect((await api.world.stores.webhooks.get(partner.partnerId, webhookId)).secrets).toHaveLength(1);
});

test("a test is a delivery, pending until the queue has had its turn", async () => {
  const webhookId = unique("hook");
  await partner.api.putWebhook({ webhookId, body: { url } });
  const { status, body } = await partner.api.testWebhook({ webhookId });
  expect([status, body]).toMatchObject([202, { type: "webhook.test", subject: webhookId, state: "pending", tries: [] }]);
  const { value } = (await partner.api.listWebhookDeliveries({ webhookId })).body;
  expect(value).toEqual([body]);
  expect((await partner.api.listWebhookDeliveries({ webhookId, state: "failed" })).body.value).toEqual([]);
  const again = await partner.api.redeliverEvent({ webhookId, deliveryId: body.id });
  expect([again.status, again.body.state]).toEqual([202, "pending"]);
  await expect(partner.api.redeliverEvent({ webhookId, deliveryId: `${body.id}0` })).rejects.toMatchObject({
    code: "WebhookDeliveryNotFound",
  });
});

test("a partner has ten of them at the most", async () => {
  const another = await api.partner();
  for (let number = 0; number < 10; number += 1) await another.api.putWebhook({ webhookId: `hook-${number}`, body: { url } });
  await expect(another.api.putWebhook({ webhookId: "hook-10", body: { url } })).rejects.toMatchObject({
    code: "WebhookLimitReached",
  });
});
