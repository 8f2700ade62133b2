/** Branches that run on beside what an orchestration does next: each is done once, waited for where it is needed, and never left behind. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { beside, branch } from "../../shared/durable/branches.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { stepsOf } from "../../shared/durable/steps.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { play } from "../support/play.ts";

interface Story {
  /** Seconds that each branch takes, and whether it fails then. */
  branches: { takes: number; fails: boolean }[];
  /** Seconds of what the walk does itself, each before it waits for one of the branches, or for none. */
  walk: { takes: number; awaits: number }[];
}

const activities = (clock: ReturnType<typeof createVirtualClock>) => ({
  takeTime: async ({ takes, fails }: { takes: number; fails: boolean }): Promise<number> => {
    await clock.sleep(1000 * takes);
    if (fails) throw new ControlPlaneError("BranchFailed", `after ${takes} seconds`, 409);
    return takes;
  },
});

const patience = { tries: 1, firstWaitInSeconds: 1, longestWaitInSeconds: 1 };
const takeTime = (context: OrchestrationContext, takes: number, fails = false): Routine<number> =>
  stepsOf<ReturnType<typeof activities>>(context, patience).takeTime({ takes, fails });

const takingTime = branch("takingTime", (context, { takes, fails }: Story["branches"][number]) =>
  takeTime(context, takes, fails),
);

function* telling(context: OrchestrationContext, { branches, walk }: Story): Routine<unknown> {
  const starts = branches.map((input, index) => ({ name: takingTime.name, input, suffix: String(index) }));
  try {
    return yield* beside<number[], number[]>(context, starts, function* (...ends) {
      const results: number[] = [];
      for (const { takes, awaits } of walk) {
        yield* takeTime(context, takes);
        const end = ends[awaits];
        if (end) results.push(yield* end());
      }
      return results;
    });
  } catch (error) {
    return (error as ControlPlaneError).message;
  }
}

/** What it has to come to: the walk stops at the first failure that it waits for, and all branches go on to their ends. */
function expected({ branches, walk }: Story) {
  let now = 0;
  const results: number[] = [];
  let error: string | undefined;
  let steps = 0;
  for (const { takes, awaits } of walk) {
    now += takes;
    steps += 1;
    const awaited = branches[awaits];
    if (!awaited) continue;
    now = Math.max(now, awaited.takes);
    if (awaited.fails) {
      error = `after ${awaited.takes} seconds`;
      break;
    }
    results.push(awaited.takes);
  }
  const elapsedInMilliseconds = 1000 * Math.max(now, ...branches.map(({ takes }) => takes));
  return { result: error ?? results, elapsedInMilliseconds, calls: branches.length + steps };
}

const seconds = fc.integer({ min: 0, max: 60 });
const story = fc.record<Story>({
  branches: fc.array(fc.record({ takes: seconds, fails: fc.boolean() }), { minLength: 1, maxLength: 4 }),
  walk: fc.array(fc.record({ takes: seconds, awaits: fc.integer({ min: 0, max: 5 }) }), { maxLength: 6 }),
});

test("it takes as long as the longest way through it, does everything once, and ends when all of it has", async () => {
  await fc.assert(
    fc.asyncProperty(story, async (told) => {
      const clock = createVirtualClock();
      const played = await play({
        start: telling,
        input: told,
        orchestrators: [takingTime],
        activities: activities(clock),
        clock,
      });
      const { result, elapsedInMilliseconds, calls } = played;
      expect(played.error).toBeUndefined();
      expect({ result, elapsedInMilliseconds, calls: calls.length }).toEqual(expected(told));
    }),
    { numRuns: 15 },
  );
});
