/** Looks whether a task is done, by its kind's own means, and keeps what was seen. */
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import type { Sight, TaskRecord } from "../../shared/stores/tasks.ts";
import type { TasksWorld } from "./world.ts";

export type Looking = Pick<TasksWorld, "taskChecks"> & { stores: Pick<TasksWorld["stores"], "tasks"> };

export async function lookAt({ taskChecks, stores }: Looking, task: TaskRecord): Promise<Versioned<TaskRecord>> {
  const sight = await taskChecks[task.kind].look(task).catch(unseen);
  return stores.tasks.keepSight(task, sight);
}

/** A cloud that doesn't answer says nothing about the task. */
function unseen(error: unknown): Sight {
  if (error instanceof ControlPlaneError) return { found: "unknown", message: `${error.code}: ${error.message}` };
  throw error;
}
