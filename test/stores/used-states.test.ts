/** Consent states are good for one use. */
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { testStores } from "../support/stores.ts";

test("of many who use a state, one succeeds", async () => {
  const { usedStates } = testStores();
  const state = randomUUID();
  const expiresAt = new Date("2026-11-22T12:00:00Z");
  const uses = await Promise.all(Array.from({ length: 6 }, () => usedStates.use(state, expiresAt)));
  expect(uses.filter(Boolean)).toHaveLength(1);
  expect(await usedStates.use(state, expiresAt)).toBe(false);
});
