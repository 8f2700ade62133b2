/** Tasks: what only a person can do is listed, reminded of, and looked at when somebody says that it is done. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerTimer } from "../../shared/triggers.ts";
import { completeTask, getTask, listTasks } from "./http.ts";
import { remindTasks } from "./timer.ts";
import type { TasksWorld } from "./world.ts";

export function registerTasks(world: TasksWorld): void {
  registerHttp("listTasks", endpoint("listTasks", world, listTasks(world)));
  registerHttp("getTask", endpoint("getTask", world, getTask(world)));
  registerDurableHttp("completeTask", (client) => completeTask(world, client));
  registerTimer("remindTasks", "%TASKS_SCHEDULE%", remindTasks(world));
}
