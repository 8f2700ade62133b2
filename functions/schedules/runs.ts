/** Notes when each timer runs and how that ends, and lets an operator start a run: one at a time, once for each id. */
import { randomUUID } from "node:crypto";
import { refusal } from "../../shared/api/error-codes.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { EndedRun, TimerRecord, TimerRun } from "../../shared/stores/schedules.ts";
import type { WatchTimer } from "../../shared/triggers.ts";
import type { SchedulesWorld } from "./world.ts";

/** `functionTimeout` of host.json: by then the host has ended what was still running. */
export const LONGEST_RUN_IN_MILLISECONDS = 10 * 60_000;
const MOST_ASKED_KEPT = 20;

type Runs = Pick<SchedulesWorld, "stores" | "clock" | "log">;

/** What can't be noted is a line in the log: the timer's own work goes on. */
export const watchRuns =
  (runs: Runs): WatchTimer =>
  async (timer, work) => {
    const run = begun(runs, randomUUID(), "schedule");
    await unlessItFails(runs, timer, () => runs.stores.schedules.change(timer, (known) => ({ ...known, running: run })));
    const failure = await carriedOut(runs, timer, run, work);
    if (failure !== undefined) throw failure.error;
  };

/**
 * A run that fails has run. What can't be noted is not begun: else nobody would know of it. Whoever asks again under the same id hears of
 * the run that there was.
 */
export async function runByHand(runs: Runs, timer: string, id: string, work: () => Promise<void>): Promise<TimerRecord> {
  const run = begun(runs, id, "operator");
  let mine = false;
  const known = await runs.stores.schedules.change(timer, (before) => {
    mine = false;
    if (before.asked?.includes(id)) return undefined;
    if (stillRunning(before, runs.clock.now())) throw refusal("ScheduleRunning", `the timer ${timer} is running`);
    mine = true;
    return { ...before, running: run, asked: [...(before.asked ?? []), id].slice(-MOST_ASKED_KEPT) };
  });
  if (!mine) return known;
  await carriedOut(runs, timer, run, work);
  return (await runs.stores.schedules.all()).get(timer) ?? known;
}

/** A run that nobody ended for longer than any may take was broken off with its host. */
export const stillRunning = ({ running }: TimerRecord, now: number): boolean =>
  running !== undefined && now - Date.parse(running.startedAt) <= LONGEST_RUN_IN_MILLISECONDS;

const begun = ({ clock }: Runs, id: string, startedBy: TimerRun["startedBy"]): TimerRun => ({
  id,
  startedAt: new Date(clock.now()).toISOString(),
  startedBy,
});

async function carriedOut(
  runs: Runs,
  timer: string,
  run: TimerRun,
  work: () => Promise<void>,
): Promise<{ error: unknown } | undefined> {
  const failure = await work().then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  if (failure) runs.log.warning("a timer's function failed", { timer, error: failure.error });
  const last: EndedRun = {
    ...run,
    durationInMilliseconds: Math.max(0, runs.clock.now() - Date.parse(run.startedAt)),
    outcome: failure ? "failed" : "succeeded",
    ...(failure ? { reason: reasonOf(failure.error) } : {}),
  };
  await unlessItFails(runs, timer, () =>
    runs.stores.schedules.change(timer, ({ running, last: before, ...known }) => ({
      ...known,
      // The schedule may have begun another run beside one by hand.
      ...(running === undefined || running.id === run.id ? {} : { running }),
      last: before !== undefined && before.startedAt > last.startedAt ? before : last,
    })),
  );
  return failure;
}

const reasonOf = (error: unknown): string =>
  error instanceof ControlPlaneError ? error.code : error instanceof Error ? error.name : "Error";

async function unlessItFails({ log }: Runs, timer: string, noteIt: () => Promise<unknown>): Promise<void> {
  try {
    await noteIt();
  } catch (error) {
    log.warning("a timer's run could not be noted", { timer, error });
  }
}
