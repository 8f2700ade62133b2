/** A lease is one holder's at a time, and ends by itself. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { testStores } from "../support/stores.ts";

let now = Date.parse("2026-11-22T12:00:00Z");
const { leases } = testStores({ now: () => now });

test("of many who want it one holds it, until it lets go or its time is over", async () => {
  const what = randomUUID();
  const wanted = await Promise.all(Array.from({ length: 5 }, () => leases.acquire(what, 60)));
  const [first, ...others] = wanted.filter((lease) => "release" in lease);
  expect(others).toEqual([]);
  now += 20_000;
  expect(await leases.acquire(what, 60)).toEqual({ heldForSeconds: 40 });

  await first?.release();
  const second = await leases.acquire(what, 60);
  expect(second).toHaveProperty("release");
  now += 61_000;
  const third = await leases.acquire(what, 60);
  expect(third).toHaveProperty("release");
  // Too late: it is another one's now.
  if ("release" in second) await second.release();
  expect(await leases.acquire(what, 60)).toEqual({ heldForSeconds: 60 });
});
