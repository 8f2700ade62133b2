/** The doors of many tenants: all whose mail a gateway carries, or all of a partner. One operation a tenant; what can't be done for one is said and keeps no other. */
import { createHash } from "node:crypto";
import type { DurableClient } from "durable-functions";
import { operationSummaryBody } from "../../shared/api/bodies.ts";
import type { Caller } from "../../shared/api/authentication.ts";
import { endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import type { TenantOutcome } from "../../shared/api/mail-flow.ts";
import type { OperationKind } from "../../shared/api/operation.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import { bypassOf } from "../../shared/desired/bypass.ts";
import { isStanding } from "../../shared/desired/target.ts";
import { startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { ended, type OperationRecord } from "../../shared/stores/operations.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { Redirection } from "./orchestrator.ts";
import { ASKED_FOR, bypassing, restoring } from "./redirections.ts";
import type { MailFlowDoors } from "./world.ts";

/** POST /api/gateways/{gatewayId}/bypass */
export const startGatewayBypass = (world: MailFlowDoors, client: DurableClient) =>
  endpoint("startGatewayBypass", world, async ({ caller, params, query, headers, body }) => {
    const tenants = await ofGateway(world, partnerInScope(caller, query.partnerId), params.gatewayId);
    const wanted = bypassing(world, { by: "call", reason: body.reason });
    return several(world, client, tenants, { wanted, operationId: headers["operation-id"], body });
  });

/** POST /api/gateways/{gatewayId}/restore */
export const startGatewayRestore = (world: MailFlowDoors, client: DurableClient) =>
  endpoint("startGatewayRestore", world, async ({ caller, params, query, headers }) => {
    const tenants = await ofGateway(world, partnerInScope(caller, query.partnerId), params.gatewayId);
    return several(world, client, tenants, { wanted: restoring(world, ASKED_FOR), operationId: headers["operation-id"] });
  });

/** POST /api/partners/{partnerId}/bypass */
export const startPartnerBypass = (world: MailFlowDoors, client: DurableClient) =>
  endpoint("startPartnerBypass", world, async ({ caller, params, headers, body }) => {
    const tenants = await ofPartner(world, caller, params.partnerId);
    const wanted = bypassing(world, { by: "call", reason: body.reason });
    return several(world, client, tenants, { wanted, operationId: headers["operation-id"], body });
  });

/** POST /api/partners/{partnerId}/restore */
export const startPartnerRestore = (world: MailFlowDoors, client: DurableClient) =>
  endpoint("startPartnerRestore", world, async ({ caller, params, headers }) => {
    const tenants = await ofPartner(world, caller, params.partnerId);
    return several(world, client, tenants, { wanted: restoring(world, ASKED_FOR), operationId: headers["operation-id"] });
  });

async function ofGateway({ stores }: MailFlowDoors, partnerId: string, gatewayId: string): Promise<TenantRecord[]> {
  const { tenantId } = await stores.gateways.get(partnerId, gatewayId);
  return [await stores.tenants.get(partnerId, tenantId)];
}

const PAGE_SIZE = 100;

/** Those whose mail runs through a gateway, or round it. Another partner is answered like one that doesn't exist. */
async function ofPartner({ stores }: MailFlowDoors, caller: Caller, partnerId: string): Promise<TenantRecord[]> {
  if (caller.role === "Partner" && caller.partnerId !== partnerId)
    throw refusal("PartnerNotFound", `there is no partner ${partnerId}`);
  await stores.partners.get(partnerId);
  const found: TenantRecord[] = [];
  for (let after: string | undefined; ; ) {
    const { items, next } = await stores.tenants.list(partnerId, PAGE_SIZE, after);
    found.push(...items.filter(isStanding));
    if (next === undefined) return found;
    after = next;
  }
}

interface Wanted {
  wanted: TenantOperation<Redirection>;
  /** The caller's own, for all of them together. */
  operationId: string | undefined;
  body?: unknown;
}

const TENANTS_AT_ONCE = 8;

async function several(world: MailFlowDoors, client: DurableClient, tenants: TenantRecord[], wanted: Wanted) {
  const value: TenantOutcome[] = [];
  for (let first = 0; first < tenants.length; first += TENANTS_AT_ONCE)
    value.push(
      ...(await Promise.all(
        tenants.slice(first, first + TENANTS_AT_ONCE).map((tenant) => outcomeOf(world, client, tenant, wanted)),
      )),
    );
  return { status: 202 as const, body: { value } };
}

async function outcomeOf(
  { stores, log }: MailFlowDoors,
  client: DurableClient,
  { partnerId, id: tenantId, stage, facts, operationId: last }: TenantRecord,
  { wanted, operationId, body }: Wanted,
): Promise<TenantOutcome> {
  const { operations } = stores;
  const id = operationId === undefined ? undefined : idFor(operationId, partnerId, tenantId);
  try {
    const running = last === undefined ? undefined : await operations.find(partnerId, last);
    const under = running !== undefined && running.kind === wanted.kind && !ended(running) ? running : undefined;
    if (under && under.id !== id) return { tenantId, outcome: "underway", operation: summary(under) };
    const known = id !== undefined && (await operations.find(partnerId, id)) !== undefined;
    // What a policy has begun becomes that person's own.
    const by = wanted.kind === "bypass" ? bypassOf({ facts })?.by : undefined;
    if (!known && !under && by !== "policy" && thereAlready[wanted.kind]?.includes(stage))
      return { tenantId, outcome: "already" };
    const operation = await startOperation(stores, client, wanted, { partnerId, tenantId, operationId: id, body });
    return { tenantId, outcome: "accepted", operation: summary(operation) };
  } catch (error) {
    if (error instanceof ControlPlaneError) return { tenantId, outcome: "refused", error: detailOf(error) };
    log.error("a tenant's mail could not be led another way", { partnerId, tenantId, kind: wanted.kind, error });
    const unexpected = refusal("InternalServerError", "something went wrong on our side; ask for this tenant again");
    return { tenantId, outcome: "refused", error: detailOf(unexpected) };
  }
}

const thereAlready: Partial<Record<OperationKind, TenantRecord["stage"][]>> = {
  bypass: ["bypassed"],
  restore: ["pilot", "live"],
};

const summary = ({ steps: _steps, ...header }: OperationRecord) => operationSummaryBody(header);

/** The same for the same request, and each tenant's own. */
const idFor = (operationId: string, partnerId: string, tenantId: string): string =>
  `several-${createHash("sha256")
    .update(JSON.stringify([operationId, partnerId, tenantId]))
    .digest("hex")
    .slice(0, 40)}`;
