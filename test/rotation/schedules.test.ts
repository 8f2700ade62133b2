/** Samples of the schedules by chance that test/faults plays in full, and what they once found. */
import { expect, test } from "vitest";
import { firstPasswordLost, type PasswordMutant } from "../support/passwords-by-chance.ts";
import { firstToGoWrong, type Mutant } from "../support/rotations-by-chance.ts";

test("under schedules by chance no machine holds a secret that is refused, and none is left over", async () => {
  expect(await firstToGoWrong({ from: 1_220, to: 1_280 })).toBeUndefined();
});

test.each<Mutant>(["without the fence", "cleans up while it makes"])("a rotation that %s is caught", async (mutant) => {
  expect(await firstToGoWrong({ from: 0, to: 100 }, mutant)).toBeDefined();
});

test("under schedules by chance each machine has a password that the vault has, and at the end the current one", async () => {
  expect(await firstPasswordLost({ from: 0, to: 60 })).toBeUndefined();
});

test.each<PasswordMutant>(["without the fence", "makes another each time"])(
  "a password's rotation that %s is caught",
  async (mutant) => {
    expect(await firstPasswordLost({ from: 0, to: 100 }, mutant)).toBeDefined();
  },
);
