/** Drift's doors: what the last look found, a look now, and a repair. */
import type { DurableClient } from "durable-functions";
import type { Drift } from "../../shared/api/drift.ts";
import { accepted, endpoint, type Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { DriftRecord } from "../../shared/stores/drift.ts";
import { lookForDrift, underWay } from "./look.ts";
import { refuseUnlessStanding, startRepairOf } from "./repair.ts";
import type { DriftWorld } from "./world.ts";

/** GET …/drift: from the store alone. */
export const getDrift =
  ({ stores }: ApiWorld): Handler<"getDrift"> =>
  async ({ caller, params: { tenantId }, query }) => {
    const { partnerId, id } = await stores.tenants.get(partnerInScope(caller, query.partnerId), tenantId);
    return { body: driftBody(id, await stores.drift.find(partnerId, id)) };
  };

/** POST …/drift: looks now, which takes seconds, and writes nothing in the clouds. */
export const lookForDriftNow =
  (world: DriftWorld): Handler<"lookForDriftNow"> =>
  async ({ caller, params: { tenantId }, query }) => {
    const { stores } = world;
    const tenant = await stores.tenants.get(partnerInScope(caller, query.partnerId), tenantId);
    const { partnerId } = tenant;
    refuseUnlessStanding(tenant);
    const looked = await lookForDrift(world, { partnerId, tenantId });
    if (looked) return { body: driftBody(tenantId, looked.record) };
    const id = (await underWay(world, await stores.tenants.get(partnerId, tenantId))) ?? tenant.operationId ?? "";
    throw refusal("OperationInProgress", `operation ${id} is changing tenant ${tenantId}: look again when it has ended`, {
      target: id,
    });
  };

/** POST …/repair: what differed when it was last looked at, and still does. */
export const startRepair = (world: ApiWorld & Pick<DriftWorld, "pace" | "plans">, client: DurableClient) =>
  endpoint("startRepair", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const wanted = { partnerId, tenantId, operationId: headers["operation-id"], steps: body?.steps, plan: body?.plan };
    return accepted(world, await startRepairOf(world, client, wanted));
  });

function driftBody(tenantId: string, record: DriftRecord | undefined): Drift {
  if (!record) return { tenantId, status: "notLooked", differences: [], unread: [], findings: [] };
  const { lookedAt, differences, unread, findings } = record;
  const status = differences.length > 0 ? "drifted" : unread.length > 0 ? "unknown" : "inSync";
  return { tenantId, status, lookedAt, differences, unread, findings };
}
