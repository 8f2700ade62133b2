/** The operators' door to timers: when they run, how it went, and a run now. */
import { randomUUID } from "node:crypto";
import type { DurableClient } from "durable-functions";
import { endpoint, type Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import type { Schedule } from "../../shared/api/schedule.ts";
import type { TimerRecord } from "../../shared/stores/schedules.ts";
import { type RegisteredTimer, timers } from "../../shared/triggers.ts";
import { nextRun } from "./ncrontab.ts";
import { runByHand, stillRunning } from "./runs.ts";
import type { SchedulesWorld } from "./world.ts";

/** GET /api/schedules */
export const listSchedules =
  (world: SchedulesWorld): Handler<"listSchedules"> =>
  async () => {
    const runs = await world.stores.schedules.all();
    const byName = [...timers.values()].toSorted((a, b) => a.name.localeCompare(b.name));
    return { body: { value: byName.map((timer) => scheduleBody(world, timer, runs.get(timer.name))) } };
  };

/** POST /api/schedules/{timer}/run: answers when the run has ended; one that fails is an answer, too. */
export const runSchedule = (world: SchedulesWorld, client: DurableClient) =>
  endpoint("runSchedule", world, async ({ params, headers }) => {
    const timer = timers.get(params.timer);
    if (!timer) throw refusal("ScheduleNotFound", `there is no timer ${params.timer}`);
    const runs = await runByHand(world, timer.name, headers["operation-id"] ?? randomUUID(), () => timer.run(client));
    return { body: scheduleBody(world, timer, runs) };
  });

function scheduleBody(
  { schedules, clock }: SchedulesWorld,
  { name, setting }: RegisteredTimer,
  runs: TimerRecord = {},
): Schedule {
  const expression = schedules[setting] ?? "";
  const next = nextRun(expression, clock.now());
  const { running } = runs;
  const goesOn = stillRunning(runs, clock.now());
  const last = running && !goesOn ? { ...running, outcome: "interrupted" as const } : runs.last;
  return {
    name,
    setting,
    expression,
    ...(next === undefined ? {} : { nextRunAt: next.toISOString() }),
    ...(running && goesOn ? { running } : {}),
    ...(last === undefined ? {} : { lastRun: last }),
  };
}
