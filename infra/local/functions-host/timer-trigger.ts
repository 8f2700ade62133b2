/** Runs functions by schedule. When each ran last is kept in the state file, so that what was missed while the host was down runs once. */

import type { HostClock, Timer } from "./clock.ts";
import type { Binding, FunctionApp, RegisteredFunction, TypedData } from "./functions-core.ts";
import { FunctionsSystemError } from "./functions-core.ts";
import { expandSettings } from "./host-settings.ts";
import { invoke } from "./invocation.ts";
import type { Log } from "./log.ts";
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
}

export type Timers = ReturnType<typeof createTimers>;

/** @throws FunctionsSystemError for a schedule that can't be read */
export function createTimers(options: TimerTriggerOptions) {
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

function createTimer({ app, store, clock, log, input }: TimerTriggerOptions, timerFunction: RegisteredFunction) {
  const { name, trigger } = timerFunction;
  const schedule = parseSchedule(expandSettings(textOf(trigger["schedule"], name), `function '${name}'`), name);
  const monitored = trigger["useMonitor"] !== false && !schedule.frequent;
  let status: TimerStatus | undefined;
  let alarm: Timer | undefined;
  /** Calls of one function take turns. */
  let lastCall: Promise<void> = Promise.resolve();
  let stopped = false;
  let closed = false;

  function arm(at: number): void {
    if (stopped) return;
    alarm = clock.setTimer(at, () => void fire({ pastDue: false, scheduled: true }));
  }

  /** The status afterwards is counted from the time at which the call began (TimerListener.cs, InvokeJobFunction). */
  function fire({ pastDue, scheduled }: { pastDue: boolean; scheduled: boolean }): Promise<void> {
    return inTurn(async () => {
      if (stopped) return;
      const began = clock.now();
      await call(pastDue);
      if (closed) return;
      const at = scheduled && status && status.next > began ? status.next : began;
      status = { last: at, next: schedule.nextAfter(at), updatedAt: at };
      if (monitored) store.saveTimer(name, status);
      arm(status.next);
    });
  }

  function inTurn(work: () => Promise<void>): Promise<void> {
    lastCall = lastCall.then(async () => {
      const release = clock.hold();
      try {
        await work();
      } catch (error) {
        log({ level: "critical", category: `Function.${name}`, functionName: name, message: told(error) });
      } finally {
        release();
      }
    });
    return lastCall;
  }

  async function call(pastDue: boolean): Promise<void> {
    const data = {
      Schedule: { AdjustForDST: true },
      ScheduleStatus: monitored && status ? shown(status) : null,
      IsPastDue: pastDue,
    };
    try {
      await invoke(app, timerFunction, { json: JSON.stringify(data) }, { input });
    } catch (error) {
      log({ level: "error", category: `Function.${name}`, functionName: name, message: told(error) });
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
    run: (): Promise<void> => inTurn(() => call(false)),
    async stop(): Promise<void> {
      stopped = true;
      alarm?.cancel();
      await lastCall;
    },
    close(): void {
      stopped = true;
      closed = true;
      alarm?.cancel();
    },
  };
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
