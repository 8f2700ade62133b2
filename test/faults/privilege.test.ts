/** Giving up Exchange Administrator: every single failure of every call, and many stories of several, each ended with an application that works. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anySlow, limit, limitingActivities } from "../support/limiting.ts";

const groups = {
  "that arrives while the role is gone": 20,
  "that arrives too late": 300,
  "that never does what it should": undefined,
};

describe.each(Object.entries(groups))("a role group %s", (_name, groupArrives) => {
  describe.each(limitingActivities)("%s", (activity) => {
    test.each(["busy", "refused", "canceled"] as const)("%s, at each of its calls, before and after its effect", async (how) => {
      for (const when of ["before", "after"] as const)
        for (const times of [1, 3, 40])
          for (let from = 0; from < 8; from++) {
            const faults = [{ activity, from, times, when, how }];
            const { works } = await limit({ groupArrives, roleLingers: 5, faults, probeIntervalInSeconds: 900 });
            expect({ from, times, when, works }).toEqual({ from, times, when, works: true });
          }
    });
  });
});

test("many stories", async () => {
  await fc.assert(
    fc.asyncProperty(anySlow, async (given) => {
      const { works } = await limit({ ...given, probeIntervalInSeconds: 900 });
      expect(works).toBe(true);
    }),
    { numRuns: 1000 },
  );
}, 1_200_000);
