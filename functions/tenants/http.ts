/** The partner's door to its tenants. */
import { isDeepStrictEqual } from "node:util";
import { tenantBody } from "../../shared/api/bodies.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { untilUncontested } from "../../shared/stores/table.ts";
import { ended, type OperationStore } from "../../shared/stores/operations.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { leftBehind } from "../../shared/tenants/left-behind.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";

/**
 * PUT /api/tenants/{tenantId}: the same spec twice changes nothing; another one is taken while no operation runs, and brought about by the
 * next onboarding. Once something was built it may not leave anything behind that an onboarding wouldn't take away.
 */
export const putTenant =
  ({ stores: { tenants, operations, claims }, settings }: ApiWorld): Handler<"putTenant"> =>
  async ({ caller: { partnerId }, params: { tenantId }, body: spec, checkConditions }) =>
    untilUncontested(`tenant ${tenantId}`, async () => {
      const known = await tenants.find(partnerId, tenantId);
      checkConditions(known?.etag);
      if (!known) {
        const added = await tenants.add(partnerId, tenantId, spec);
        return added && { status: 201, body: tenantBody(added, settings.publicUrl), etag: added.etag };
      }
      const running = await isUnderWay(operations, known);
      const tenant = await tenants.change(partnerId, tenantId, (current) => {
        checkConditions(current.etag);
        if (same(current.spec, spec)) return undefined;
        const underWay = running || current.operationId !== known.operationId;
        if (current.stage !== "pilot" && current.stage !== "live") refuseInUse(current, underWay, "its spec can't be changed");
        else {
          if (underWay) refuseInUse(current, underWay, "its spec can't be changed while it runs");
          refuseLeaving(current, spec);
          return { spec }; // names and what else was found out stay: things in the clouds have them
        }
        return { spec, stage: "registered", facts: {} }; // names derive from the spec, and nothing has them yet, or any more
      });
      const { tenantId: organization } = known.spec.microsoft365;
      if (organization !== spec.microsoft365.tenantId)
        await claims.release("organization", organization, { partnerId, tenantId });
      return { status: 200, body: tenantBody(tenant, settings.publicUrl), etag: tenant.etag };
    });

/** GET /api/tenants/{tenantId} */
export const getTenant =
  ({ stores: { tenants }, settings }: ApiWorld): Handler<"getTenant"> =>
  async ({ caller, params, query }) => {
    const tenant = await tenants.get(partnerInScope(caller, query.partnerId), params.tenantId);
    return { body: tenantBody(tenant, settings.publicUrl), etag: tenant.etag };
  };

/** DELETE /api/tenants/{tenantId}: only what was never built can just go; the rest is offboarded. */
export const deleteTenant =
  ({ stores: { tenants, operations, claims, exports } }: ApiWorld): Handler<"deleteTenant"> =>
  async ({ caller: { partnerId }, params: { tenantId }, checkConditions }) =>
    untilUncontested(`tenant ${tenantId}`, async () => {
      const known = await tenants.get(partnerId, tenantId);
      checkConditions(known.etag);
      refuseInUse(known, await isUnderWay(operations, known), "it can't be deleted");
      if (known.facts["export"] !== undefined) await exports.forget({ partnerId, tenantId });
      if (!(await tenants.delete(known))) return undefined;
      await claims.release("organization", known.spec.microsoft365.tenantId, { partnerId, tenantId });
      return { status: 204 };
    });

/** GET /api/tenants */
export const listTenants =
  ({ stores: { tenants }, signer, settings }: ApiWorld): Handler<"listTenants"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await tenants.list(partnerInScope(caller, query.partnerId), pageSize, after);
    return { body: await pageBody(page, (tenant) => tenantBody(tenant, settings.publicUrl), paging) };
  };

/** A stored spec has been through JSON, so the new one goes through it too before they are compared. */
const same = (stored: TenantSpec, wanted: TenantSpec): boolean => isDeepStrictEqual(stored, JSON.parse(JSON.stringify(wanted)));

/** An onboarding that ended before it made anything leaves the tenant registered: its spec may be put right. */
async function isUnderWay(operations: OperationStore, { partnerId, operationId }: TenantRecord): Promise<boolean> {
  const operation = operationId === undefined ? undefined : await operations.find(partnerId, operationId);
  return operation !== undefined && !ended(operation);
}

function refuseInUse({ id, stage, operationId }: TenantRecord, underWay: boolean, consequence: string): void {
  if ((stage === "registered" || stage === "gone") && !underWay) return;
  const why = operationId === undefined ? `is in stage ${stage}` : `is in stage ${stage} (operation ${operationId})`;
  throw refusal("TenantInUse", `tenant ${id} ${why}, so ${consequence}`);
}

function refuseLeaving({ id, spec }: TenantRecord, wanted: TenantSpec): void {
  const left = leftBehind(spec, wanted);
  if (left === undefined) return;
  throw refusal("TenantInUse", `tenant ${id} stands, and ${left.message}`, { target: left.target });
}
