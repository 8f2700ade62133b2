/** Runs functions by schedule. When each ran last is kept in the state file, so that what was missed while the host was down runs once. */

import type { HostClock, Timer } from "./clock.ts";
import type { Binding, FunctionApp, RegisteredFunction, TypedData } from "./functions-core.ts";
import { FunctionsSystemError } from "./functions-core.ts";
import { expandSettings } from "./host-settings.ts";
import { InvocationFailure, invoke } from "./invocation.ts";
import type { RetryContext } from "./invocation.ts";
import type { Log } from "./log.ts";
import { retryPolicy } from "./retry-policy.ts";
import { parseSchedule } from "./schedule.ts";
import type { Schedule } from "./schedule.ts";
import type { DurableStore, TimerStatus } from "./store.ts";

export interface TimerTriggerOptions {
  app: FunctionApp;
  functions: RegisteredFunction[];
  store: Pick<DurableStore, "getTimer" | "saveTimer">;
  clock: HostClock;
  log: Log;
  input: (binding: Binding) => TypedData | undefined;
  /** Each call is made twice, the second when the first has ended. */
  chaos?: boolean;
}

export type Timers = ReturnType<typeof createTimers>;

/** @throws FunctionsSystemError for a schedule that can't be read, or a time zone */
export function createTimers(options: TimerTriggerOptions) {
  if (options.functions.length > 0) refuseTimeZone();
  const timers = new Map(options.functions.map((each) => [each.name, createTimer(options, each)]));
  return {
    begin(): void {
      for (const timer of timers.values()) timer.begin();
    },
    /** Runs a function now, after the call that may be under way; its schedule stays as it is. */
    async run(name: string): Promise<void> {
      await timers.get(name)?.run();
    },
    /** Begins no further calls; resolves when those that run have ended. */
    async stop(): Promise<void> {
      await Promise.all([...timers.values()].map((timer) => timer.stop()));
    },
    /** What still runs after this leaves no trace: it counts as missed. */
    close(): void {
      for (const timer of timers.values()) timer.close();
    },
  };
}

function createTimer({ app, store, clock, log, input, chaos = false }: TimerTriggerOptions, timerFunction: RegisteredFunction) {
  const { name, trigger } = timerFunction;
  const schedule = parseSchedule(expandSettings(textOf(trigger["schedule"], name), `function '${name}'`), name);
  const monitored = trigger["useMonitor"] !== false && !schedule.frequent;
  const policy = retryPolicy(timerFunction.retry);
  const stopping = new AbortController();
  let status: TimerStatus | undefined;
  let alarm: Timer | undefined;
  /** Calls of one function take turns. */
  let lastCall: Promise<void> = Promise.resolve();
  let closed = false;

  function arm(at: number): void {
    if (stopping.signal.aborted) return;
    alarm = clock.setTimer(at, () => void fire({ pastDue: false, scheduled: true }));
  }

  /** The status afterwards is counted from the time at which the call began (TimerListener.cs, InvokeJobFunction). */
  function fire({ pastDue, scheduled }: { pastDue: boolean; scheduled: boolean }): Promise<void> {
    return inTurn(async (pause) => {
      if (stopping.signal.aborted) return;
      const began = clock.now();
      const ended = await callWithRetries(pastDue, pause);
      if (closed || !ended) return;
      const at = scheduled && status && status.next > began ? status.next : began;
      status = { last: at, next: schedule.nextAfter(at), updatedAt: at };
      if (monitored) store.saveTimer(name, status);
      arm(status.next);
    });
  }

  /** @param work may pause, and virtual time goes on meanwhile */
  function inTurn(work: (pause: Pause) => Promise<void>): Promise<void> {
    lastCall = lastCall.then(async () => {
      let release = clock.hold();
      const pause: Pause = async (milliseconds) => {
        release();
        await waitOn(clock, milliseconds, stopping.signal);
        release = clock.hold();
      };
      try {
        await work(pause);
      } catch (error) {
        log({ level: "critical", category: `Function.${name}`, functionName: name, message: told(error) });
      } finally {
        release();
      }
    });
    return lastCall;
  }

  /** @returns false if the host stopped while a retry was still to come: the run then counts as missed */
  async function callWithRetries(pastDue: boolean, pause: Pause): Promise<boolean> {
    let failure = await call(pastDue);
    for (let retryCount = 1; failure; retryCount += 1) {
      const delay = policy.delayBefore(retryCount);
      if (delay === undefined) break;
      await pause(delay);
      if (stopping.signal.aborted) return false;
      const { message, stack = "" } = failure;
      const exception = { message, stackTrace: stack };
      failure = await call(pastDue, { retryCount, maxRetryCount: policy.maxRetryCount, exception });
    }
    if (chaos) await call(pastDue);
    return true;
  }

  /** @returns what the function threw */
  async function call(pastDue: boolean, retryContext?: RetryContext): Promise<Error | undefined> {
    const data = {
      Schedule: { AdjustForDST: true },
      ScheduleStatus: monitored && status ? shown(status) : null,
      IsPastDue: pastDue,
    };
    try {
      await invoke(app, timerFunction, { json: JSON.stringify(data) }, { input, retryContext });
      return undefined;
    } catch (error) {
      log({ level: "error", category: `Function.${name}`, functionName: name, message: told(error) });
      return error instanceof InvocationFailure ? error.error : (error as Error);
    }
  }

  return {
    begin(): void {
      const now = clock.now();
      if (monitored) {
        const known = store.getTimer(name);
        status = currentStatus(schedule, now, known);
        if (status !== known) store.saveTimer(name, status);
      } else status = { last: undefined, next: schedule.nextAfter(now), updatedAt: now };
      if (now > status.next) {
        log({
          level: "information",
          category: `Function.${name}`,
          functionName: name,
          message: `'${name}' is past due: it runs now`,
        });
        void fire({ pastDue: true, scheduled: false });
      } else if (trigger["runOnStartup"] === true) void fire({ pastDue: false, scheduled: false });
      else arm(status.next);
    },
    run: (): Promise<void> => inTurn(async (pause) => void (await callWithRetries(false, pause))),
    async stop(): Promise<void> {
      stopping.abort();
      alarm?.cancel();
      await lastCall;
    },
    close(): void {
      stopping.abort();
      closed = true;
      alarm?.cancel();
    },
  };
}

type Pause = (milliseconds: number) => Promise<void>;

/** Ends early when the host stops. */
const waitOn = (clock: HostClock, milliseconds: number, stopped: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      stopped.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.setTimer(clock.now() + milliseconds, end);
    stopped.addEventListener("abort", end);
    if (stopped.aborted) end();
  });

/** Flex Consumption on Linux doesn't have the setting, so an app that counts on it would run at other times (app settings reference). */
function refuseTimeZone(): void {
  if ((process.env["WEBSITE_TIME_ZONE"] ?? "UTC") === "UTC") return;
  throw new FunctionsSystemError("WEBSITE_TIME_ZONE isn't for Flex Consumption: schedules are in UTC, so remove the setting");
}

/** What is on file; counted anew from now for a new timer or a changed schedule, which catches nothing up (ScheduleMonitor.cs). */
function currentStatus(schedule: Schedule, now: number, known: TimerStatus | undefined): TimerStatus {
  if (!known) return { last: undefined, next: schedule.nextAfter(now), updatedAt: now };
  const expected = schedule.nextAfter(known.updatedAt);
  if (expected === known.next) return known;
  return { last: undefined, next: now > expected ? schedule.nextAfter(now) : expected, updatedAt: now };
}

/** .NET's least time stands for "never". */
const shown = ({ last, next, updatedAt }: TimerStatus): Record<string, string> => ({
  Last: last === undefined ? "0001-01-01T00:00:00" : new Date(last).toISOString(),
  Next: new Date(next).toISOString(),
  LastUpdated: new Date(updatedAt).toISOString(),
});

function textOf(schedule: unknown, name: string): string {
  if (typeof schedule === "string") return schedule;
  throw new FunctionsSystemError(`function '${name}' has no schedule`);
}

const told = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? `${cause.message}\n${cause.stack ?? ""}` : String(cause);
};
