/** Looks over all open tasks: closes what was done without a word, and reminds of the rest until it expires. */
import type { OperationStatus } from "../../shared/api/operation.ts";
import { everyOne, pages } from "../../shared/stores/pages.ts";
import type { Versioned } from "../../shared/stores/table.ts";
import type { TaskRecord } from "../../shared/stores/tasks.ts";
import { type Looking, lookAt } from "./look.ts";
import type { TasksWorld } from "./world.ts";

export type Reminding = Looking &
  Pick<TasksWorld, "log"> & { stores: Pick<TasksWorld["stores"], "partners" | "tasks" | "operations"> };

/** Each of them may be a few reads of a cloud. */
const AT_A_TIME = 16;

export const remindTasks = (world: Reminding) => async (): Promise<void> => {
  const { partners, tasks } = world.stores;
  let open = 0;
  for await (const { id } of everyOne((after) => partners.list(100, after)))
    for await (const some of pages((after) => tasks.listOpen(id, AT_A_TIME, after)))
      open += (await Promise.all(some.map((task) => remindOf(world, task)))).filter(Boolean).length;
  world.log.information("tasks looked at", { open });
};

/** True while it is open. One that can't be looked at must not end the look at all others. */
async function remindOf(world: Reminding, task: Versioned<TaskRecord>): Promise<boolean> {
  try {
    const seen = await settled(world, task);
    return seen.state === "open" && (await world.stores.tasks.remind(seen)).state === "open";
  } catch (error) {
    world.log.warning("a task could not be looked at", { id: task.id, error });
    return true;
  }
}

/** Who waits for a task looks for itself, for as long as it waits. */
async function settled(world: Reminding, task: Versioned<TaskRecord>): Promise<Versioned<TaskRecord>> {
  const { partnerId, operationId } = task;
  const { operations, tasks } = world.stores;
  if (operationId === undefined) return task.waiting ? task : lookAt(world, task);
  const operation = await operations.find(partnerId, operationId);
  if (operation && !ended.includes(operation.status)) return task;
  return tasks.keepSight(task, { found: "needless", message: `operation ${operationId} has ended and waits no longer` });
}

const ended: OperationStatus[] = ["Succeeded", "Failed", "Canceled"];
