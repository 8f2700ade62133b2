/** The doors to what only a person can do: the list, one of them, and the word that it is done, which a look has to confirm. */
import type { DurableClient } from "durable-functions";
import { taskBody } from "../../shared/api/bodies.ts";
import { endpoint, type Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { TaskRecord } from "../../shared/stores/tasks.ts";
import { lookAt } from "./look.ts";
import type { TasksWorld } from "./world.ts";

/** GET /api/tasks */
export const listTasks =
  ({ stores, signer }: ApiWorld): Handler<"listTasks"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await stores.tasks.list(partnerInScope(caller, query.partnerId), query, pageSize, after);
    return { body: await pageBody(page, taskBody, paging) };
  };

/** GET /api/tasks/{taskId} */
export const getTask =
  ({ stores }: ApiWorld): Handler<"getTask"> =>
  async ({ caller, params, query }) => {
    const task = await stores.tasks.get(partnerInScope(caller, query.partnerId), params.taskId);
    return { body: taskBody(task), etag: task.etag };
  };

/** POST /api/tasks/{taskId}/complete: nobody's word is believed where a look can tell; saying it twice is saying it once. */
export const completeTask = (world: TasksWorld, client: DurableClient) =>
  endpoint("completeTask", world, async ({ caller, params: { taskId }, query }) => {
    const task = await world.stores.tasks.get(partnerInScope(caller, query.partnerId), taskId);
    if (task.state === "open") await world.taskChecks[task.kind].accept?.(task, caller.role);
    const seen = task.state === "open" ? await lookAt(world, task) : task;
    refuseUndone(seen);
    await wake(world, client, seen);
    return { body: taskBody(seen) };
  });

function refuseUndone({ id, state, verification }: TaskRecord): void {
  if (state === "done") return;
  const message = verification?.message ?? "nobody has looked yet";
  if (state !== "open") throw refusal("TaskEnded", `task ${id} is ${state}: ${message}`);
  if (verification?.found === "unknown")
    throw refusal("ServiceUnavailable", `whether task ${id} is done can't be seen at the moment: ${message}`);
  throw refusal("TaskNotDone", `task ${id} is not done: ${message}`);
}

/** Only so that nobody waits longer than needed: whoever waits looks for itself. */
async function wake({ log }: TasksWorld, client: DurableClient, { id, waiting }: TaskRecord): Promise<void> {
  if (waiting)
    await client
      .raiseEvent(waiting.instanceId, waiting.event, null)
      .catch((error: unknown) => log.information("nobody waits for this task any more", { id, error }));
}
