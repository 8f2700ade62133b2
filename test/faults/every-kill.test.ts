/**
 * The host is killed at each activity of every kind of operation, before and after its effect, and the next one, which knows what the first had
 * noted, comes to the same end. In virtual time; operation-kills.test.ts kills real processes. One kind alone: `-t demotion`.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { atEachActivity, killedThere } from "../support/every-step.ts";
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
  const wrong = await atEachActivity(worlds, way, "killed", async (plan, left) => [await killedThere(worlds, way, plan, left)]);
  expect(wrong).toEqual([]);
});
