/** Rotations under 100,000 adversarial schedules of each walk: no machine ever holds a secret that is refused, or that nobody has any more. */
import { expect, test } from "vitest";
import { firstPasswordLost, type PasswordMutant } from "../support/passwords-by-chance.ts";
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

test("100,000 schedules of a password that each machine has one of: none is lost, and all machines end with the current one", {
  timeout: 40 * MINUTES,
}, async () => {
  expect(await firstPasswordLost({ from: 0, to: 100_000 })).toBeUndefined();
});

test.each<PasswordMutant>(["without the fence", "makes another each time"])(
  "a password's rotation that %s is caught within 5,000, wherever they begin",
  { timeout: 10 * MINUTES },
  async (mutant) => {
    for (const from of [0, 20_000, 40_000])
      expect(await firstPasswordLost({ from, to: from + 5_000 }, mutant), `from ${from}`).toBeDefined();
  },
);
