/** Samples of the schedules by chance that test/faults plays in full, and what they once found. */
import { expect, test } from "vitest";
import { LATEST_WRITE_IN_SECONDS } from "../../shared/desired/loop-guid-in-force.ts";
import { everyMutant, everyWalk } from "../support/every-walk.ts";
import { LONGEST_EXECUTION_IN_SECONDS, twoAfterHalfAFlip } from "../support/loop-guids-by-chance.ts";
import { firstToGoWrong } from "../support/rotations-by-chance.ts";

test.each(everyWalk)(
  "$credential: under schedules by chance nothing is ever refused or lost, and nothing is left over",
  async (walk) => {
    expect(await walk.firstToGoWrong({ from: 1_240, to: 1_280 })).toBeUndefined();
  },
);

test.each(everyMutant)("$credential: a rotation that goes $mutant is caught", async ({ firstToGoWrong, mutant, caughtBy }) => {
  expect(await firstToGoWrong({ from: caughtBy, to: caughtBy + 1 }, mutant)).toBe(caughtBy);
});

test("loopGuid: a flip that stayed halfway is completed by the next try", async () => {
  expect(await firstToGoWrong(twoAfterHalfAFlip, { from: 0, to: 10 })).toBeUndefined();
});

test("nobody who has looked is waited for a shorter time than he may live", () => {
  expect(LATEST_WRITE_IN_SECONDS).toBeGreaterThan(LONGEST_EXECUTION_IN_SECONDS);
});
