/** The change of the certificate's name fails at each of its activities, before its effect and after it. */
import { expect, test } from "vitest";
import {
  countActivities,
  failedAt,
  known,
  played,
  renamed,
  renaming,
  startState,
  untouched,
} from "../support/certificate-name.ts";

test("wherever it fails, no name is shown that is not accepted, and another try ends it", { timeout: 1_800_000 }, async () => {
  const outcomes = new Map<string, number>();
  for (let at = 1, count = await countActivities(); at <= count; at++)
    for (const when of ["before", "after"] as const) {
      const { what, outcome, wrong, end } = await failedAt({ at, when });
      expect({ what, wrong, end }).toEqual({ what, wrong: [], end: renamed });
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  process.stdout.write(`${[...outcomes].map(([outcome, times]) => `${times} ${outcome}`).join(", ")}\n`);
  expect([...outcomes.keys()].toSorted()).toEqual(["as before", "flipped", "halfway"]);
});

test.each([0, 1])("no mail comes back by machine %i: all is as it was", { timeout: 600_000 }, async (lostAt) => {
  const state = startState();
  await played(state, renaming, undefined, lostAt);
  expect({ ...known(state), ends: state.ends, wrong: state.wrong }).toEqual({ ...untouched, ends: ["LoopUnproven"], wrong: [] });
});
