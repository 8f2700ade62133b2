/** Cancelling: a flag that every activity reads before it acts; whoever waits long is woken up, so that it looks at once. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { KindsOfOperation } from "../../shared/durable/operation-kinds.ts";
import { goesOn } from "../../shared/durable/start-once.ts";
import { instanceOf } from "../../shared/durable/tenant-operation.ts";
import type { OperationRecord } from "../../shared/stores/operations.ts";
import { actorOf } from "./actor.ts";

/** POST /api/operations/{operationId}/cancel */
export const cancelOperation = (world: ApiWorld, kinds: KindsOfOperation, client: DurableClient) =>
  endpoint("cancelOperation", world, async ({ caller, params: { operationId }, query }) => {
    const { operations } = world.stores;
    const partnerId = partnerInScope(caller, query.partnerId);
    const { attempt } = await operations.get(partnerId, operationId);
    // Asked before the flag is set: what ends meanwhile has recorded its end.
    const abandoned = !(await goesOn(client, instanceOf(partnerId, operationId, attempt)));
    const operation = await operations.cancel(partnerId, operationId, { by: actorOf(caller), abandoned });
    await wake(world, kinds, client, operation);
    return accepted(world, operation);
  });

async function wake(
  { log }: ApiWorld,
  kinds: KindsOfOperation,
  client: DurableClient,
  { partnerId, id, attempt, kind }: OperationRecord,
): Promise<void> {
  for (const { suffix, event } of kinds[kind].waits) {
    const waiting = `${instanceOf(partnerId, id, attempt)}${suffix}`;
    await client
      .raiseEvent(waiting, event, null)
      .catch((error: unknown) => log.information("nobody waits there", { waiting, error }));
  }
}
