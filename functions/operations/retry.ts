/** Another attempt at an operation that failed, was canceled, or that nobody carries out any more: from its start, as asked for then. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { KindsOfOperation } from "../../shared/durable/operation-kinds.ts";
import { goesOn } from "../../shared/durable/start-once.ts";
import { claimTenant, holds, instanceOf, operationInProgress } from "../../shared/durable/tenant-operation.ts";
import { ended, type OperationRecord } from "../../shared/stores/operations.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

/** POST /api/operations/{operationId}/retry: asking again while it runs is refused, asking again because we died in between begins it. */
export const retryOperation = (world: ApiWorld, kinds: KindsOfOperation, client: DurableClient) =>
  endpoint("retryOperation", world, async ({ caller, params: { operationId }, query }) => {
    const { operations, tenants } = world.stores;
    const partnerId = partnerInScope(caller, query.partnerId);
    const known = await operations.get(partnerId, operationId);
    const tenant = await tenants.get(partnerId, known.tenantId);
    const kind = kinds[known.kind];
    const again = kind.again(known.request);
    const abandoned = !(await goesOn(client, instanceOf(partnerId, operationId, known.attempt)));
    const toBegin = known.status === "NotStarted" && kind.beside !== true && !holds(tenant, known);
    if (toBegin || (known.status !== "NotStarted" && (ended(known) || abandoned))) {
      if (kind.beside !== true) await refuseAfterOthers(world, kinds, tenant, known);
      await again.check(tenant);
    }
    const operation = await operations.retry(partnerId, operationId, { steps: again.stepsOf(tenant), abandoned });
    const claiming = kind.beside ? tenant : claimTenant(tenants, operation, tenant, again.factsOf);
    const claimed = await Promise.resolve(claiming).catch(async (error: unknown) => {
      await operations.putBack(known);
      throw error;
    });
    await again.begin(client, claimed, operation);
    return accepted(world, await operations.show(partnerId, operationId));
  });

/** While another one runs, and when another one has succeeded since: then what was asked for is no longer what the tenant is. */
export async function refuseAfterOthers(
  { stores: { operations } }: ApiWorld,
  kinds: KindsOfOperation,
  { partnerId, id: tenantId, operationId: last }: TenantRecord,
  { id, kind, createdAt, status }: OperationRecord,
): Promise<void> {
  if (last === id || status === "Succeeded") return;
  // It may be so new that no list has it.
  const present = last === undefined ? undefined : await operations.find(partnerId, last);
  if (present && !ended(present)) throw operationInProgress(tenantId, present);
  for (let after: string | undefined; ; ) {
    const { items, next } = await operations.list(partnerId, { tenantId }, 100, after);
    for (const other of items) {
      if (other.id === id || other.createdAt < createdAt) return;
      if (kinds[other.kind].beside) continue;
      if (!ended(other)) throw operationInProgress(tenantId, other);
      if (other.status === "Succeeded")
        throw refusal(
          "RetryOutdated",
          `operation ${other.id} (${other.kind}) has succeeded since: ask for another ${kind}, if it is still wanted`,
          { target: other.id },
        );
    }
    if (next === undefined) return;
    after = next;
  }
}
