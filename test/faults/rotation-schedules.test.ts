/** Rotations under 100,000 adversarial schedules: no machine ever holds a secret that is refused, and none is left over. */
import { expect, test } from "vitest";
import { firstToGoWrong, type Mutant } from "../support/rotations-by-chance.ts";

const MINUTES = 60_000;

test("100,000 schedules of depth 1 to 5: no outage, no orphan, and all come to their end", {
  timeout: 40 * MINUTES,
}, async () => {
  expect(await firstToGoWrong({ from: 0, to: 100_000 })).toBeUndefined();
});

test.each<Mutant>(["without the fence", "cleans up while it makes"])(
  "a rotation that %s is caught within 5,000, wherever they begin",
  { timeout: 10 * MINUTES },
  async (mutant) => {
    for (const from of [0, 20_000, 40_000])
      expect(await firstToGoWrong({ from, to: from + 5_000 }, mutant), `from ${from}`).toBeDefined();
  },
);
