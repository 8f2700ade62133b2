/** A process that drives an order at an ACME server dies before and after each of its writes: the next one goes on with the same order. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { interrupted, oneOfEach } from "../acme/interrupted.ts";
import { type AcmeWorld, startAcmeWorld } from "../acme/world.ts";
import { noPebble } from "../support/pebble.ts";

let acme: AcmeWorld;
beforeAll(async () => {
  if (!noPebble) acme = await startAcmeWorld();
});
afterAll(() => acme?.stop());

test.skipIf(noPebble).each(["before", "after"] as const)("%s each write", async (when) => {
  await acme.over().obtain();
  const kinds = new Set<string>();
  for (let at = 1; ; at++) {
    const { what, left } = await interrupted(acme, { at, when });
    expect({ at, what, left }).toEqual({ at, what, left: oneOfEach });
    if (what === undefined) break;
    kinds.add(what);
  }
  expect([...kinds].toSorted()).toEqual(["answer", "finalize", "merge", "note", "order", "publish", "request", "withdraw"]);
});
