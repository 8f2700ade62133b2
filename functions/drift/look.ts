/** One look at a standing tenant: reads, compares, keeps, and tells what changed by it. */
import { failureFrom } from "../../shared/durable/steps.ts";
import { isStanding } from "../../shared/desired/target.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { adoptedOf } from "../../shared/desired/adopted.ts";
import { type Look, lookAt } from "../../shared/runbook/looking.ts";
import { undisturbed } from "../../shared/runbook/surroundings.ts";
import { rotating } from "../../shared/stores/credentials.ts";
import type { DriftRecord } from "../../shared/stores/drift.ts";
import { ended } from "../../shared/stores/operations.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { withAzureCulprits } from "./azure-culprits.ts";
import { compared, type Comparison, conditionOf, judged, unreadable } from "./compare.ts";
import { standingSteps } from "./steps.ts";
import type { DriftWorld } from "./world.ts";

/** Why a tenant is not looked at now: what it would be compared with is being written. */
export async function underWay(
  { stores }: Pick<DriftWorld, "stores">,
  { partnerId, id: tenantId, operationId }: TenantRecord,
): Promise<string | undefined> {
  const operation = operationId === undefined ? undefined : await stores.operations.find(partnerId, operationId);
  if (operation && !ended(operation)) return operation.id;
  const busy = (await stores.credentials.list(partnerId, tenantId)).find(rotating);
  return busy?.rotation?.operationId;
}

export interface Looked {
  record: DriftRecord;
  look: Look | undefined;
}

/**
 * `within`: the operation that looks, which is under way itself. Undefined when it can't be looked at now: nothing stands, an operation is
 * under way, or one began or ended meanwhile, so that what was seen may be half of it.
 */
export async function lookForDrift(
  world: DriftWorld,
  { partnerId, tenantId }: { partnerId: string; tenantId: string },
  within?: string,
): Promise<Looked | undefined> {
  const { stores, clock } = world;
  const undisturbedBy = async (tenant: TenantRecord): Promise<boolean> =>
    within === undefined ? (await underWay(world, tenant)) === undefined : tenant.operationId === within;
  const before = await stores.tenants.find(partnerId, tenantId);
  if (!before || !isStanding(before) || !(await undisturbedBy(before))) return undefined;
  const at = new Date(clock.now()).toISOString();
  const { look, comparison } = await looked(world, before);
  const after = await stores.tenants.find(partnerId, tenantId);
  const same = after && isStanding(after) && after.stage === before.stage && after.operationId === before.operationId;
  if (!same || !(await undisturbedBy(after))) return undefined;
  const aDay = after.spec.drift?.repair === "automatic" ? world.driftPace.repairsADay : Infinity;
  // A repair that is under way has been counted, and has not written yet.
  const mostRepairs = within === undefined ? aDay : undefined;
  const record = await stores.drift.change(partnerId, tenantId, (known) =>
    // A look that began later has seen more, though it ended before this one.
    known && known.lookedAt > at ? undefined : judged(known, comparison(known), { partnerId, tenantId, at, mostRepairs }),
  );
  if (!record || (record.lookedAt !== at && within === undefined)) return undefined;
  await tell(world, record);
  return { record: { ...record, owed: [] }, look };
}

interface Compared {
  look: Look | undefined;
  comparison(known: DriftRecord | undefined): Comparison;
}

/** A read that the walk can't go on without leaves everything unread. */
async function looked(world: DriftWorld, tenant: TenantRecord): Promise<Compared> {
  try {
    const look = await lookAt(world, tenant, { asFound: adoptedOf(tenant) });
    const comparison = await withCulprits(world, tenant, look, compared(look, standingSteps(tenant)));
    return { look, comparison: () => comparison };
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) world.log.warning("a tenant could not be looked at", { tenant: tenant.id, error });
    const { code, message } = failureFrom(error);
    return { look: undefined, comparison: (known) => unreadable(`${code}: ${message}`, known) };
  }
}

/** Nobody is looked for in Azure where nothing differs. */
async function withCulprits(
  { stores, azure, settings: { applicationId }, clock }: DriftWorld,
  { partnerId, id }: TenantRecord,
  look: Look,
  comparison: Comparison,
): Promise<Comparison> {
  if (comparison.differences.length === 0) return comparison;
  const known = await stores.drift.find(partnerId, id);
  return withAzureCulprits({ azure, applicationId, now: clock.now() }, comparison, look, known);
}

/** Events first, then the conditions as they are by now, then the debt is crossed off. */
async function tell({ stores }: DriftWorld, record: DriftRecord): Promise<void> {
  const { partnerId, tenantId, owed, findings, unread } = record;
  for (const event of owed) await stores.events.add(event);
  const whole = unread.every(({ step }) => step !== "all");
  await stores.tenants
    .setConditions(partnerId, tenantId, [conditionOf(record), ...(whole ? [undisturbed(findings)] : [])])
    .catch((error: unknown) => {
      if (!(error instanceof ControlPlaneError) || error.code !== "TenantNotFound") throw error;
    });
  if (owed.length === 0) return;
  const paid = new Set(owed.map(({ id }) => id));
  await stores.drift.change(
    partnerId,
    tenantId,
    (known) => known && { ...known, owed: known.owed.filter(({ id }) => !paid.has(id)) },
  );
}
