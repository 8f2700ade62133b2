/** Cancelling: a flag that every activity reads before it acts; whoever waits long is woken up, so that it looks at once. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { KindsOfOperation } from "../../shared/durable/operation-kinds.ts";
import { goesOn, startOnce } from "../../shared/durable/start-once.ts";
import { claimTenant, instanceOf } from "../../shared/durable/tenant-operation.ts";
import type { LeavingPace } from "../../shared/proof/queues.ts";
import { ended, type OperationRecord } from "../../shared/stores/operations.ts";
import { actorOf } from "./actor.ts";
import { refuseAfterOthers } from "./retry.ts";
import { rollBackOperation } from "./roll-back.ts";

/** POST /api/operations/{operationId}/cancel */
export const cancelOperation = (world: CancelWorld, kinds: KindsOfOperation, client: DurableClient) =>
  endpoint("cancelOperation", world, async ({ caller, params: { operationId }, query, body }) => {
    const { operations } = world.stores;
    const partnerId = partnerInScope(caller, query.partnerId);
    const known = await operations.get(partnerId, operationId);
    const rollBack = body?.rollBack ? { abandonQueues: body.abandonQueues ?? false } : undefined;
    if (rollBack) await admitRollBack(world, kinds, known);
    // Asked before the flag is set: what ends meanwhile has recorded its end.
    const abandoned = !(await goesOn(client, instanceOf(partnerId, operationId, known.attempt)));
    const operation = await operations.cancel(partnerId, operationId, { by: actorOf(caller), abandoned, rollBack });
    await wake(world, kinds, client, operation);
    await beginRollBack(world, client, operation);
    return accepted(world, operation);
  });

/** The API's part, and the durations that travel with a roll-back. */
type CancelWorld = ApiWorld & { offboardingPace: LeavingPace };

async function admitRollBack(world: ApiWorld, kinds: KindsOfOperation, operation: OperationRecord): Promise<void> {
  const { tenants } = world.stores;
  const { id, partnerId, tenantId, cancel, status } = operation;
  // It has succeeded, or it is taken back already: the store knows what to say.
  if (status === "Succeeded" || (cancel?.rollBack && status !== "Failed")) return;
  const tenant = await tenants.get(partnerId, tenantId);
  const kind = kinds[operation.kind];
  const refused = kind.rollBackRefused?.(operation, tenant);
  if (refused !== undefined)
    throw refusal("RollBackRefused", `operation ${id} (${operation.kind}) can't be taken back: ${refused}`);
  if (!ended(operation)) return;
  await refuseAfterOthers(world, kinds, tenant, operation);
  await claimTenant(tenants, { ...operation, attempt: operation.attempt + 1 }, tenant);
}

/** The roll-back is the attempt after the one that it takes back; begun once, however often it is asked for. */
async function beginRollBack(
  world: CancelWorld,
  client: DurableClient,
  { partnerId, tenantId, id: operationId, status, cancel }: OperationRecord,
): Promise<void> {
  if (status !== "Running" || !cancel?.rollBack) return;
  const { work, spec, names } = targetOf(await world.stores.tenants.get(partnerId, tenantId));
  const attempt = cancel.attempt + 1;
  const { abandonQueues } = cancel.rollBack;
  const input = { work: { ...work, operationId, attempt }, spec, names, abandonQueues, pace: world.offboardingPace };
  await startOnce(client, rollBackOperation, instanceOf(partnerId, operationId, attempt), input);
}

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
