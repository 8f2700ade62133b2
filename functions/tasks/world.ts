/** What tasks need of the world: the API's part, and for each kind how to see whether it is done. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { TaskChecks } from "../../shared/stores/tasks.ts";

export interface TasksWorld extends ApiWorld {
  /** Those who open tasks give these; tasks and they don't know each other. */
  taskChecks: TaskChecks;
}
