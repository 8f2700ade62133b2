/** How each run of a timer ended is kept; by hand a timer runs once for each id, and never beside a run that is under way. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { LONGEST_RUN_IN_MILLISECONDS, runByHand, watchRuns } from "../../functions/schedules/runs.ts";
import type { SchedulesWorld } from "../../functions/schedules/world.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { createLog } from "../../shared/log.ts";
import { createScheduleStore, type ScheduleStore } from "../../shared/stores/schedules.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const BEGINNING = Date.UTC(2026, 10, 20);
const startedAt = new Date(BEGINNING).toISOString();

function start() {
  const clock = { time: BEGINNING, now: () => clock.time };
  const logged: string[] = [];
  const schedules = createScheduleStore(memoryStorage());
  const runs = {
    clock,
    log: createLog("warning", (_level, line) => logged.push(line)),
    stores: { schedules },
  } as unknown as SchedulesWorld;
  const takes = (milliseconds: number) => async () => void (clock.time += milliseconds);
  return { clock, logged, schedules, runs, takes, byClock: watchRuns(runs) };
}

let world: ReturnType<typeof start>;
beforeEach(() => {
  world = start();
});
const refused = async () => {
  throw refusal("ServiceUnavailable", "storage doesn't answer");
};
const kept = async (timer: string) => (await world.schedules.all()).get(timer);

test("a run that ended well and one that failed are kept, each with its duration", async () => {
  await world.byClock("pollGateways", world.takes(1500));
  await expect(world.byClock("sweepDrift", refused)).rejects.toMatchObject({ code: "ServiceUnavailable" });
  await expect(world.byClock("pollSpf", () => Promise.reject(new TypeError("no")))).rejects.toThrow(TypeError);
  expect(await kept("pollGateways")).toMatchObject({
    last: { startedAt, startedBy: "schedule", outcome: "succeeded", durationInMilliseconds: 1500 },
  });
  expect((await kept("sweepDrift"))?.last).toMatchObject({ outcome: "failed", reason: "ServiceUnavailable" });
  expect((await kept("pollSpf"))?.last).toMatchObject({ outcome: "failed", reason: "TypeError" });
});

test("tables that don't answer keep no timer from its work, and one by hand from beginning", async () => {
  const { runs } = world;
  const silent = { ...runs, stores: { ...runs.stores, schedules: { all: refused, change: refused } satisfies ScheduleStore } };
  let worked = 0;
  const work = async () => void (worked += 1);
  await watchRuns(silent)("pollGateways", work);
  expect([worked, world.logged.length]).toEqual([1, 2]);
  await expect(runByHand(silent, "pollGateways", "one", work)).rejects.toMatchObject({ code: "ServiceUnavailable" });
  expect(worked).toBe(1);
});

test("asking again under the same id shows the run that there was, also after others", async () => {
  let worked = 0;
  const work = async () => void (worked += 1);
  await runByHand(world.runs, "pollGateways", "one", work);
  await world.byClock("pollGateways", work);
  await runByHand(world.runs, "pollGateways", "two", work);
  await runByHand(world.runs, "pollGateways", "one", work);
  expect([worked, (await kept("pollGateways"))?.last?.id]).toEqual([3, "two"]);
});

test("by hand nothing begins beside a run; one that was broken off is in nobody's way", async () => {
  const gate = Promise.withResolvers<void>();
  const first = runByHand(world.runs, "pollGateways", "one", () => gate.promise);
  await expect.poll(async () => (await kept("pollGateways"))?.running?.id).toBe("one");
  await expect(runByHand(world.runs, "pollGateways", "two", refused)).rejects.toMatchObject({ code: "ScheduleRunning" });
  expect((await runByHand(world.runs, "pollGateways", "one", refused)).running).toMatchObject({ startedBy: "operator" });
  world.clock.time += LONGEST_RUN_IN_MILLISECONDS + 1;
  expect((await runByHand(world.runs, "pollGateways", "three", world.takes(5))).last?.id).toBe("three");
  gate.resolve();
  await first;
  // The older run ended later.
  expect(await kept("pollGateways")).toMatchObject({ last: { id: "three" } });
});

test("the longest run is what the host allows", () => {
  const { functionTimeout } = JSON.parse(readFileSync("host.json", "utf8")) as { functionTimeout: string };
  const [hours = 0, minutes = 0, seconds = 0] = functionTimeout.split(":").map(Number);
  expect(LONGEST_RUN_IN_MILLISECONDS).toBe(((hours * 60 + minutes) * 60 + seconds) * 1000);
});

test("however runs overlap, fail and are asked for again, each id ran at most once and nothing stays running", async () => {
  const call = fc.record({
    id: fc.constantFrom("a", "b", "c"),
    byHand: fc.boolean(),
    fails: fc.boolean(),
    turns: fc.integer({ min: 0, max: 20 }),
    after: fc.integer({ min: 0, max: 20 }),
  });
  // Of three, none meets another's write more than four times, and each tries five times.
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 3 }), async (calls) => {
      world = start();
      const ran: string[] = [];
      const turns = async (count: number) => {
        for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
      };
      const outcomes = await Promise.all(
        calls.map(async ({ id, byHand, fails, turns: long, after }) => {
          await turns(after);
          const work = async () => {
            ran.push(byHand ? id : "schedule");
            await turns(long);
            if (fails) throw new TypeError("as the test says");
          };
          const called = byHand ? runByHand(world.runs, "pollGateways", id, work) : world.byClock("pollGateways", work);
          return called.then(
            () => "ended",
            (error: unknown) => (error instanceof TypeError ? "failed" : (error as { code?: string }).code),
          );
        }),
      );
      for (const id of ["a", "b", "c"]) expect(ran.filter((one) => one === id).length).toBeLessThanOrEqual(1);
      expect(outcomes.filter((one) => !["ended", "failed", "ScheduleRunning"].includes(one ?? ""))).toEqual([]);
      expect(world.logged.filter((line) => line.includes("could not be noted"))).toEqual([]);
      if (ran.length > 0) expect((await kept("pollGateways"))?.running).toBeUndefined();
    }),
    { numRuns: 30 },
  );
});
