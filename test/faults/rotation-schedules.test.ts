/** Rotations under 100,000 adversarial schedules of each walk: at no moment does a machine hold what nobody takes, and nothing is left over. */
import { expect, test } from "vitest";
import { everyMutant, everyWalk } from "../support/every-walk.ts";

const MINUTES = 60_000;

test.each(everyWalk)(
  "$credential: 100,000 schedules of depth 1 to 5 without an outage or an orphan, and all come to their end",
  { timeout: 90 * MINUTES },
  async ({ firstToGoWrong }) => {
    expect(await firstToGoWrong({ from: 0, to: 100_000 })).toBeUndefined();
  },
);

test.each(everyMutant)(
  "$credential: a rotation that goes $mutant is caught within 5,000, wherever they begin",
  { timeout: 10 * MINUTES },
  async ({ firstToGoWrong, mutant }) => {
    for (const from of [0, 20_000, 40_000])
      expect(await firstToGoWrong({ from, to: from + 5_000 }, mutant), `from ${from}`).toBeDefined();
  },
);
