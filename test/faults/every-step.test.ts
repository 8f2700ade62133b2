/** Every kind of operation fails at each of its activities, before and after its effect: tried again it completes, and taken back nothing is left. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { failThenRetry, failThenRollBack, undisturbed, type Way, waysIn } from "../support/every-step.ts";
import { startWorlds, type Worlds } from "../support/worlds.ts";

const HOURS = 7_200_000;
let worlds: Worlds;
let ways: Way[];
beforeAll(async () => {
  worlds = await startWorlds();
  ways = await waysIn(worlds);
}, HOURS);
afterAll(() => worlds.stop());

test.each(["onboarding", "promotion", "demotion", "offboarding"])("%s", { timeout: HOURS }, async (kind) => {
  const way = ways.find((one) => one.kind === kind);
  if (!way) throw new Error(`nothing begins ${kind}`);
  const began = performance.now();
  const { activities, left } = await undisturbed(worlds, way);
  const wrong: string[] = [];
  for (const activity of activities)
    for (const when of ["before", "after"] as const) {
      const plan = { activity, when };
      const found = [
        ...(await failThenRetry(worlds, way, plan, left)).map((what) => `retried: ${what}`),
        ...(await failThenRollBack(worlds, way, plan)).map((what) => `rolled back: ${what}`),
      ];
      wrong.push(...found.map((what) => `${when} ${activity}, ${what}`));
    }
  const seconds = Math.round((performance.now() - began) / 1000);
  process.stdout.write(
    `${kind}: ${activities.length} activities, each failed before and after its effect, retried and taken back; ${seconds} s\n`,
  );
  expect(wrong).toEqual([]);
});
