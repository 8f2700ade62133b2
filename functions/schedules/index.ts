/** Schedules: operators see what runs by the clock, and run it now. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { watchTimers } from "../../shared/triggers.ts";
import { listSchedules, runSchedule } from "./http.ts";
import { watchRuns } from "./runs.ts";
import type { SchedulesWorld } from "./world.ts";

/** Before any timer is registered, so that all of them are seen. */
export function registerSchedules(world: SchedulesWorld): void {
  watchTimers(watchRuns(world));
  registerHttp("listSchedules", endpoint("listSchedules", world, listSchedules(world)));
  registerDurableHttp("runSchedule", (client) => runSchedule(world, client));
}
