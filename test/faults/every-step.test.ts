/**
 * Every kind of operation fails at each of its activities, before and after its effect: tried again it completes, and taken back nothing is
 * left, or its kind says why it can't be taken back. One kind alone: `-t demotion`; some of its activities alone: `ACTIVITIES=vault`.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { atEachActivity, failedThere } from "../support/every-step.ts";
import { kinds, waysIn } from "../support/ways.ts";
import { startWorlds, type Worlds } from "../support/worlds.ts";

const HOURS = 7_200_000;
let worlds: Worlds;
let wayOf: ReturnType<typeof waysIn>;
beforeAll(async () => {
  worlds = await startWorlds();
  wayOf = waysIn(worlds);
}, HOURS);
afterAll(() => worlds.stop());

test.each(kinds)("%s", { timeout: HOURS }, async (kind) => {
  const way = await wayOf(kind);
  expect(await atEachActivity(worlds, way, "failed", (plan, left) => failedThere(worlds, way, plan, left))).toEqual([]);
});
