/** Partners: a client belongs to one partner at every instant. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { testStores, unique } from "../support/stores.ts";

const { partners } = testStores();
const registration = () => ({
  id: unique("partner"),
  displayName: "Northwind",
  entraTenantId: randomUUID(),
  clientId: randomUUID(),
});
const allow = () => undefined;

test("a partner is found by its id and by its client", async () => {
  const wanted = registration();
  const { partner, created } = await partners.put(wanted, allow);
  expect({ created, ...partner }).toMatchObject({ created: true, ...wanted });
  expect(await partners.get(wanted.id)).toEqual(partner);
  expect(await partners.findByClient(wanted.entraTenantId, wanted.clientId)).toEqual({
    partnerId: wanted.id,
    displayName: "Northwind",
  });
});

test("the same registration again changes nothing", async () => {
  const wanted = registration();
  const { partner } = await partners.put(wanted, allow);
  expect(await partners.put(wanted, allow)).toEqual({ partner, created: false });
});

test("after a change of client the old one is nobody's and the new one the partner's", async () => {
  const wanted = registration();
  await partners.put(wanted, allow);
  const changed = { ...wanted, clientId: randomUUID(), displayName: "Northwind Traders" };
  const { partner, created } = await partners.put(changed, allow);
  expect({ created, ...partner }).toMatchObject({ created: false, ...changed });
  expect(await partners.findByClient(wanted.entraTenantId, wanted.clientId)).toBeUndefined();
  expect(await partners.findByClient(changed.entraTenantId, changed.clientId)).toMatchObject({
    partnerId: wanted.id,
    displayName: "Northwind Traders",
  });
});

test("a new name reaches the next token", async () => {
  const wanted = registration();
  await partners.put(wanted, allow);
  await partners.put({ ...wanted, displayName: "Renamed" }, allow);
  expect(await partners.findByClient(wanted.entraTenantId, wanted.clientId)).toMatchObject({ displayName: "Renamed" });
});

test("another partner's client is refused, and nothing of the refused partner stays", async () => {
  const first = registration();
  await partners.put(first, allow);
  const second = { ...first, id: unique("partner") };
  await expect(partners.put(second, allow)).rejects.toMatchObject({ code: "PartnerClientInUse", status: 409 });
  expect(await partners.find(second.id)).toBeUndefined();
});

test("of many who register one client at once, one gets it", async () => {
  const pair = registration();
  const rivals = Array.from({ length: 5 }, () => ({ ...pair, id: unique("rival") }));
  const results = await Promise.allSettled(rivals.map((rival) => partners.put(rival, allow)));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  const owner = await partners.findByClient(pair.entraTenantId, pair.clientId);
  expect(rivals.map(({ id }) => id)).toContain(owner?.partnerId);
});

test("an unknown partner is an error to get and nothing to find", async () => {
  await expect(partners.get(unique("nobody"))).rejects.toMatchObject({ code: "PartnerNotFound", status: 404 });
  expect(await partners.find(unique("nobody"))).toBeUndefined();
});
