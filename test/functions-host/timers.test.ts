/** Timers: when they run, what they are told, and what becomes of a run that was missed. In virtual time, unless a host is killed. */

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { app as functions } from "@azure/functions";
import type { InvocationContext, RetryOptions, Timer, TimerFunctionOptions } from "@azure/functions";
import { expect, test } from "vitest";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import type { VirtualClock } from "../../infra/local/functions-host/clock.ts";
import { createApp, withApp } from "../../infra/local/functions-host/functions-core.ts";
import type { LogEntry } from "../../infra/local/functions-host/log.ts";
import { retryPolicy } from "../../infra/local/functions-host/retry-policy.ts";
import { parseSchedule } from "../../infra/local/functions-host/schedule.ts";
import { openStore } from "../../infra/local/functions-host/store.ts";
import type { DurableStore } from "../../infra/local/functions-host/store.ts";
import { createTimers } from "../../infra/local/functions-host/timer-trigger.ts";
import { spawnHost, startFixture, withDirectory } from "./fixtures/hosts.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const START = Date.UTC(2030, 0, 1);

type Handler = (timer: Timer, context: InvocationContext) => unknown;

/** One timer function called `watch`, begun. */
async function beginTimer(
  { clock, store = openStore(":memory:"), chaos = false }: { clock: VirtualClock; store?: DurableStore; chaos?: boolean },
  options: Omit<TimerFunctionOptions, "handler">,
  handler: Handler,
) {
  const entries: LogEntry[] = [];
  const log = (entry: LogEntry): void => void entries.push(entry);
  const app = createApp({ log });
  await withApp(app, () => functions.timer("watch", { ...options, handler }));
  const timers = createTimers({ app, functions: [...app.functions.values()], store, clock, log, chaos, input: () => undefined });
  timers.begin();
  return { ...timers, entries };
}

/** Seconds since `START` at which the function was called, and whether the call was past due. */
function recorder(clock: VirtualClock) {
  const calls: string[] = [];
  return { calls, note: ({ isPastDue }: Timer) => void calls.push(since(clock, isPastDue)) };
}

const since = (clock: VirtualClock, pastDue: boolean): string => `${(clock.now() - START) / SECOND}${pastDue ? " past due" : ""}`;

/** Lets virtual time pass, also while a call runs: `clock.sleep` is for those whom the clock waits for. */
const elapse = (clock: VirtualClock, milliseconds: number): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(clock.now() + milliseconds, resolve));

test("a timer runs when its schedule says so, and is told when it ran and will run", async () => {
  const clock = createVirtualClock(START);
  const told: Timer[] = [];
  const { calls, note } = recorder(clock);
  const timers = await beginTimer({ clock }, { schedule: "0 */5 * * * *" }, (timer) => {
    told.push(timer);
    note(timer);
  });
  await elapse(clock, 12 * MINUTE);
  await timers.stop();
  expect(calls).toEqual(["300", "600"]);
  expect(told.map(({ schedule, scheduleStatus }) => ({ schedule, scheduleStatus }))).toEqual([
    {
      schedule: { adjustForDST: true },
      scheduleStatus: { last: "0001-01-01T00:00:00", next: "2030-01-01T00:05:00.000Z", lastUpdated: "2030-01-01T00:00:00.000Z" },
    },
    {
      schedule: { adjustForDST: true },
      scheduleStatus: {
        last: "2030-01-01T00:05:00.000Z",
        next: "2030-01-01T00:10:00.000Z",
        lastUpdated: "2030-01-01T00:05:00.000Z",
      },
    },
  ]);
});

test("runs missed while the host was down are caught up by exactly one call, which is past due", async () => {
  const clock = createVirtualClock(START);
  const store = openStore(":memory:");
  const { calls, note } = recorder(clock);
  const schedule = "0 */5 * * * *";
  const first = await beginTimer({ clock, store }, { schedule }, note);
  await elapse(clock, 6 * MINUTE);
  await first.stop();
  await elapse(clock, 21 * MINUTE); // misses 600, 900, 1200, 1500
  const second = await beginTimer({ clock, store }, { schedule }, note);
  await elapse(clock, 4 * MINUTE);
  await second.stop();
  expect(calls).toEqual(["300", "1620 past due", "1800"]);
});

test("a host that is down between two runs misses none", async () => {
  const clock = createVirtualClock(START);
  const store = openStore(":memory:");
  const { calls, note } = recorder(clock);
  const first = await beginTimer({ clock, store }, { schedule: "0 */5 * * * *" }, note);
  await elapse(clock, 1 * MINUTE);
  await first.stop();
  await elapse(clock, 3 * MINUTE);
  const second = await beginTimer({ clock, store }, { schedule: "0 */5 * * * *" }, note);
  await elapse(clock, 2 * MINUTE);
  await second.stop();
  expect(calls).toEqual(["300"]);
});

test("a changed schedule catches nothing up", async () => {
  const clock = createVirtualClock(START);
  const store = openStore(":memory:");
  const { calls, note } = recorder(clock);
  const before = await beginTimer({ clock, store }, { schedule: "0 */5 * * * *" }, note);
  await elapse(clock, 6 * MINUTE);
  await before.stop();
  await elapse(clock, 60 * MINUTE);
  const after = await beginTimer({ clock, store }, { schedule: "0 */7 * * * *" }, note);
  await elapse(clock, 5 * MINUTE);
  await after.stop();
  expect(calls).toEqual(["300", String(67 * 60)]);
});

test("of a schedule within minutes no status is kept, so nothing is caught up", async () => {
  const clock = createVirtualClock(START);
  const store = openStore(":memory:");
  const { calls, note } = recorder(clock);
  const statuses: unknown[] = [];
  const options = { schedule: "*/20 * * * * *" };
  const first = await beginTimer({ clock, store }, options, note);
  await elapse(clock, 25 * SECOND);
  await first.stop();
  await elapse(clock, 10 * MINUTE);
  const second = await beginTimer({ clock, store }, options, (timer) => {
    statuses.push(timer.scheduleStatus);
    note(timer);
  });
  await elapse(clock, 20 * SECOND);
  await second.stop();
  expect(calls).toEqual(["20", "640"]);
  expect(statuses).toEqual([null]);
  expect(store.getTimer("watch")).toBeUndefined();
});

test("a call at start comes once, also when it is past due", async () => {
  const clock = createVirtualClock(START);
  const store = openStore(":memory:");
  const { calls, note } = recorder(clock);
  const options = { schedule: "0 */5 * * * *", runOnStartup: true };
  const first = await beginTimer({ clock, store }, options, note);
  await elapse(clock, 1 * MINUTE);
  await first.stop();
  await elapse(clock, 10 * MINUTE);
  const second = await beginTimer({ clock, store }, options, note);
  await elapse(clock, 1 * MINUTE);
  await second.stop();
  expect(calls).toEqual(["0", "660 past due"]);
});

test("calls don't overlap: the next is counted from when the last began, and comes at once if that has passed", async () => {
  const clock = createVirtualClock(START);
  const { calls, note } = recorder(clock);
  let running = 0;
  let most = 0;
  const timers = await beginTimer({ clock }, { schedule: "0 * * * * *" }, async (timer) => {
    note(timer);
    most = Math.max(most, (running += 1));
    if (calls.length === 1) await clock.sleep(150 * SECOND);
    running -= 1;
  });
  await elapse(clock, 5 * MINUTE + 1);
  await timers.stop();
  expect({ calls, most }).toEqual({ calls: ["60", "210", "240", "300"], most: 1 });
});

test("a call from outside waits for the one that runs, and leaves the schedule as it is", async () => {
  const clock = createVirtualClock(START);
  const { calls, note } = recorder(clock);
  const timers = await beginTimer({ clock }, { schedule: "0 * * * * *" }, async (timer) => {
    note(timer);
    await clock.sleep(10 * SECOND);
  });
  await Promise.all([timers.run("watch"), timers.run("watch")]);
  await elapse(clock, 50 * SECOND);
  await timers.stop();
  expect(calls).toEqual(["0", "10", "60"]);
});

test("a timer that fails is logged, and runs again at its next time", async () => {
  const clock = createVirtualClock(START);
  const { calls, note } = recorder(clock);
  const timers = await beginTimer({ clock }, { schedule: "0 * * * * *" }, (timer) => {
    note(timer);
    throw new Error("the resolver is away");
  });
  await elapse(clock, 2 * MINUTE + 1);
  await timers.stop();
  expect(calls).toEqual(["60", "120"]);
  expect(timers.entries.filter(({ level }) => level === "error")).toEqual([
    expect.objectContaining({ functionName: "watch", message: expect.stringMatching(/^the resolver is away\n/u) as string }),
    expect.objectContaining({ functionName: "watch" }),
  ]);
});

/** A timer that fails every time; when it was called, in seconds since `START`, and what it was told of retries. */
async function failing(clock: VirtualClock, retry: RetryOptions, store?: DurableStore) {
  const calls: number[] = [];
  const contexts: unknown[] = [];
  const options = { schedule: "0 0 * * * *", retry };
  const timers = await beginTimer({ clock, ...(store ? { store } : {}) }, options, (_, context) => {
    calls.push((clock.now() - START) / SECOND);
    contexts.push(context.retryContext);
    throw new Error(`the resolver is away (${calls.length})`);
  });
  return { timers, calls, contexts };
}

test("a timer with a fixed delay is tried again after it, so often and no more, and knows why", async () => {
  const clock = createVirtualClock(START);
  const retry = { strategy: "fixedDelay", maxRetryCount: 2, delayInterval: { seconds: 10 } } as const;
  const { timers, calls, contexts } = await failing(clock, retry);
  await elapse(clock, 2 * 60 * MINUTE + MINUTE);
  await timers.stop();
  expect(calls).toEqual([3600, 3610, 3620, 7200, 7210, 7220]);
  const exception = (message: string) => ({ message, stackTrace: expect.stringContaining(message) as string });
  expect(contexts.slice(0, 3)).toEqual([
    undefined,
    { retryCount: 1, maxRetryCount: 2, exception: exception("the resolver is away (1)") },
    { retryCount: 2, maxRetryCount: 2, exception: exception("the resolver is away (2)") },
  ]);
});

test("a timer with exponential backoff waits longer each time, up to the most", () => {
  const options = {
    retryStrategy: "exponentialBackoff",
    minimumInterval: { seconds: 4 },
    maximumInterval: { seconds: 30 },
  } as const;
  const delays = (random: number) => {
    const { delayBefore } = retryPolicy({ ...options, maxRetryCount: 5 }, () => random);
    return [1, 2, 3, 4, 5, 6].map(delayBefore);
  };
  expect(delays(0.5)).toEqual([8000, 12_000, 20_000, 30_000, 30_000, undefined]);
  expect(delays(0)).toEqual([7200, 10_400, 16_800, 29_600, 30_000, undefined]);
});

test("a host that stops between two tries stops at once, and the run counts as missed", async () => {
  const clock = createVirtualClock(START);
  const store = openStore(":memory:");
  const retry = { strategy: "fixedDelay", maxRetryCount: -1, delayInterval: { minutes: 30 } } as const;
  const first = await failing(clock, retry, store);
  await elapse(clock, 61 * MINUTE);
  await first.timers.stop();
  const { calls, note } = recorder(clock);
  const second = await beginTimer({ clock, store }, { schedule: "0 0 * * * *" }, note);
  await elapse(clock, 1 * MINUTE);
  await second.stop();
  expect([first.calls, calls]).toEqual([[3600], ["3660 past due"]]);
});

test("with chaos each call comes twice, one after the other", async () => {
  const clock = createVirtualClock(START);
  const { calls, note } = recorder(clock);
  const timers = await beginTimer({ clock, chaos: true }, { schedule: "0 */5 * * * *" }, async (timer) => {
    note(timer);
    await clock.sleep(10 * SECOND);
  });
  await elapse(clock, 11 * MINUTE);
  await timers.stop();
  expect(calls).toEqual(["300", "310", "600", "610"]);
});

test("a time zone of its own is refused, as it would be ignored in Azure", async () => {
  process.env["WEBSITE_TIME_ZONE"] = "Europe/Berlin";
  const begun = beginTimer({ clock: createVirtualClock(START) }, { schedule: "0 0 3 * * *" }, () => undefined);
  await expect(begun).rejects.toThrow("WEBSITE_TIME_ZONE isn't for Flex Consumption: schedules are in UTC");
  delete process.env["WEBSITE_TIME_ZONE"];
});

test("a schedule may be an app setting", async () => {
  const clock = createVirtualClock(START);
  const { calls, note } = recorder(clock);
  process.env["TIMERS_TEST_SCHEDULE"] = "30 * * * * *";
  const timers = await beginTimer({ clock }, { schedule: "%TIMERS_TEST_SCHEDULE%" }, note);
  await elapse(clock, 1 * MINUTE);
  await timers.stop();
  expect(calls).toEqual(["30"]);
  await expect(beginTimer({ clock }, { schedule: "%TIMERS_TEST_MISSING%" }, note)).rejects.toThrow(
    "function 'watch' needs the setting TIMERS_TEST_MISSING, which is missing",
  );
});

test.each([
  ["0 */5 * * * *", "2030-01-01T00:05:00.000Z"],
  ["*/5 * * * *", "2030-01-01T00:05:00.000Z"],
  ["0 30 9 * JAN MON-FRI", "2030-01-01T09:30:00.000Z"],
  ["0 0 0 13 * 5", "2030-09-13T00:00:00.000Z"], // both days must match: a Friday the 13th
  ["5/20 * * * * *", "2030-01-01T00:00:05.000Z"],
  ["0 0 0 29 2 *", "2032-02-29T00:00:00.000Z"],
])("%s comes next at %s", (schedule, next) => {
  expect(new Date(parseSchedule(schedule, "watch").nextAfter(START)).toISOString()).toBe(next);
});

test.each([
  ["* * *", "which doesn't have five or six fields"],
  ["00:05:00", "which is a time span, for an App Service plan only: write it as NCRONTAB"],
  ["@daily", "which doesn't have five or six fields"],
  ["0 0 9-5 * * *", "which can't be read"],
  ["61 * * * * *", "which can't be read"],
  ["0 0 0 L * *", "in which 'L' can't be read"],
  ["0 0 0 * * 7", "but days of the week go from 0, Sunday, to 6"],
  ["0 0 0 30 2 *", "which never comes"],
])("the schedule %s is refused at start", (schedule, why) => {
  expect(() => parseSchedule(schedule, "watch")).toThrow(`function 'watch' has the schedule '${schedule}', ${why}`);
});

const timerApp = path.join(import.meta.dirname, "fixtures/timer-app");

interface Line {
  name: string;
  event: "begin" | "end";
  isPastDue: boolean;
}

const linesIn = (file: string): Line[] =>
  existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Line)
    : [];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await wait(10);
}

test("a host killed in the middle of a run that was past due runs it again, once", { timeout: 120_000 }, () =>
  withDirectory(async (directory) => {
    const state = path.join(directory, "state.sqlite");
    const record = path.join(directory, "record");
    const before = openStore(state);
    // Ran yesterday, on a schedule of once a day.
    const { nextAfter } = parseSchedule("0 0 3 * * *", "daily");
    const updatedAt = Date.now() - 48 * 60 * MINUTE;
    before.saveTimer("daily", { last: updatedAt, next: nextAfter(updatedAt), updatedAt });
    before.close();

    const start = (milliseconds: number) =>
      spawnHost(["--app", timerApp, "--state", state], { FIXTURE_RECORD: record, FIXTURE_TAKES: String(milliseconds) });
    const killed = await start(60_000);
    await until(() => linesIn(record).length === 1);
    await killed.end("SIGKILL");
    const second = await start(0);
    await until(() => linesIn(record).length === 3);
    await second.end("SIGTERM");
    const third = await start(0);
    await wait(300);
    await third.end("SIGTERM");
    expect(linesIn(record)).toEqual([
      { name: "daily", event: "begin", isPastDue: true },
      { name: "daily", event: "begin", isPastDue: true },
      { name: "daily", event: "end", isPastDue: true },
    ]);
  }),
);

test("a host asked to stop lets a timer that runs end", { timeout: 120_000 }, () =>
  withDirectory(async (directory) => {
    const record = path.join(directory, "record");
    const state = path.join(directory, "state.sqlite");
    const host = await spawnHost(["--app", timerApp, "--state", state], { FIXTURE_RECORD: record, FIXTURE_TAKES: "300" });
    await fetch(`${host.managementUrl}admin/functions/daily`, { method: "POST" });
    await until(() => linesIn(record).length === 1);
    expect(await host.end("SIGTERM")).toBe(0);
    expect(linesIn(record).map(({ event }) => event)).toEqual(["begin", "end"]);
    const after = openStore(state);
    expect(after.getTimer("daily")?.next).toBeGreaterThan(Date.now());
    after.close();
  }),
);

test("a timer is run by hand through the admin API, and nothing else is", async () => {
  const host = await startFixture({ appDirectory: timerApp, clock: createVirtualClock(START) });
  const post = async (name: string, body?: string) => {
    const response = await fetch(`${host.managementUrl}admin/functions/${name}`, {
      method: "POST",
      ...(body === undefined ? {} : { body }),
    });
    return { status: response.status, body: await response.text() };
  };
  expect(await post("DAILY", "{}")).toEqual({ status: 202, body: "" });
  expect(await post("nightly")).toMatchObject({ status: 404, body: expect.stringMatching("no function 'nightly'") as string });
  expect(await post("show")).toMatchObject({ status: 400, body: expect.stringMatching("only timers and queues") as string });
  expect(await post("daily", "{")).toMatchObject({ status: 400 });
  expect((await fetch(`${host.url}/admin/functions/daily`, { method: "POST" })).status).toBe(202);
  await host.stop();
});
