/** Events: once each, newest first, across months, each partner its own. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { createEventStore, type EventRecord } from "../../shared/stores/events.ts";
import { ownStorage } from "../support/own-storage.ts";
import { testStores, unique } from "../support/stores.ts";

const { events } = testStores();

const event = (partnerId: string, at: string, more: Partial<EventRecord> = {}): EventRecord => ({
  partnerId,
  tenantId: "contoso",
  id: randomUUID(),
  type: "gateway.health.changed",
  subject: "contoso-gateway-1",
  at,
  data: { before: { health: "healthy" }, after: { health: "stopped" } },
  ...more,
});

test("an event that is told twice is there once", async () => {
  const partnerId = unique("partner");
  const told = event(partnerId, "2026-11-22T10:00:00.000Z");
  expect(await events.add(told)).toBe(true);
  expect(await events.add(told)).toBe(false);
  expect((await events.list(partnerId, {}, 50)).items).toEqual([told]);
});

test("the newest comes first, page after page, over the months", async () => {
  const partnerId = unique("partner");
  const times = ["2026-09-30T23:59:59.000Z", "2026-10-01T00:00:00.000Z", "2026-11-01T08:00:00.000Z", "2026-11-02T08:00:00.000Z"];
  for (const at of times.toSorted(() => 0.5 - Math.random())) await events.add(event(partnerId, at));
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const page = await events.list(partnerId, {}, 1, after);
    seen.push(...page.items.map(({ at }) => at));
    after = page.next;
  } while (after !== undefined);
  expect(seen).toEqual(times.toReversed());
});

test("lists are filtered by tenant and type, and are the partner's own", async () => {
  const partnerId = unique("partner");
  const at = "2026-11-22T10:00:00.000Z";
  const wanted = event(partnerId, at, { tenantId: "fabrikam", type: "listing.confirmed" });
  await Promise.all([wanted, event(partnerId, at), event(partnerId, at, { tenantId: "fabrikam" })].map((one) => events.add(one)));
  const { items } = await events.list(partnerId, { tenantId: "fabrikam", type: "listing.confirmed" }, 50);
  expect(items).toEqual([wanted]);
  expect(await events.list(unique("partner"), {}, 50)).toEqual({ items: [] });
});

test("what somebody wants to be told waits in the same transaction as its event, and is announced once", async () => {
  const partnerId = unique("partner");
  const announced: string[] = [];
  const own = createEventStore(ownStorage(), {
    listens: async (partner) => partner === partnerId,
    announce: async ({ id }) => void announced.push(id),
  });
  const told = event(partnerId, "2026-11-22T10:00:00.000Z");
  expect([await own.add(told), await own.add(told), await own.add({ ...told, partnerId: unique("partner") })]).toEqual([
    true,
    false,
    true,
  ]);
  expect([await own.untold(partnerId), announced]).toEqual([[told], [told.id]]);
  await own.markTold(told);
  await own.markTold(told);
  expect([await own.untold(partnerId), await own.findUntold(told)]).toEqual([[], undefined]);
  // Told once more it is not untold again.
  expect([await own.add(told), await own.untold(partnerId)]).toEqual([false, []]);
  expect((await own.list(partnerId, {}, 50)).items).toEqual([told]);
});
