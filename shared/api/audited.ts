/** The API in the audit log: each call that may change something is there before it is carried out, and with what was answered. */
import { ControlPlaneError } from "../errors.ts";
import type { AuditEnd } from "../stores/audit.ts";
import type { ChainOwner } from "../stores/audit-chain.ts";
import type { Stores } from "../stores/stores.ts";
import { type AuditActor, OPERATORS } from "./audit.ts";
import type { Caller } from "./authentication.ts";
import type { Route } from "./route.ts";
import type { ApiWorld } from "./world.ts";

/** What the log needs to know of a call that was read and checked. */
export interface AuditedCall {
  caller: Caller;
  params: Record<string, string | undefined>;
  query: { partnerId?: string };
  body: unknown;
  requestId: string;
}

/** Everything that isn't a look. Machines report how they are; the few calls that anyone may make have no caller to name. */
export const changesSomething = ({ method, roles, readOnly }: Route): boolean =>
  method !== "GET" && readOnly !== true && roles !== "anyone" && !roles.includes("Machine");

/** Without a line in the log nothing is done: storage that doesn't answer refuses the call. */
export async function auditedCall<Answered extends { body?: unknown }>(
  { stores, log }: Pick<ApiWorld, "stores" | "log">,
  name: string,
  call: AuditedCall,
  carryOut: () => Promise<Answered>,
): Promise<Answered> {
  const { caller, requestId, body } = call;
  const owner = await ownerOf(stores, call);
  const target = { kind: kindOf(call.params), ...nameIn(call.params) };
  await stores.audit.begin(owner, { key: requestId, actor: actorOf(caller), action: name, target, ...requestIn(body) });
  // What was asked for is in the log; the caller is to hear what came of it even if storage fails now.
  const ended = (end: AuditEnd): Promise<void> =>
    stores.audit.end(owner, requestId, end).catch((error: unknown) => log.error("the audit log lacks a call's end", { error }));
  try {
    const answer = await carryOut();
    await ended({ outcome: "Succeeded", ...operationIn(answer.body) });
    return answer;
  } catch (error) {
    await ended({ outcome: "Failed", error: errorOf(error) });
    throw error;
  }
}

const errorOf = (error: unknown): { code: string; message: string } =>
  error instanceof ControlPlaneError
    ? { code: error.code, message: error.message }
    : { code: "InternalServerError", message: "something went wrong on our side" };

const actorOf = ({ role, entraTenantId, clientId }: Caller): AuditActor => ({
  kind: role === "Partner" ? "partner" : "operator",
  entraTenantId,
  clientId,
});

/** What is about a tenant stands in the tenant's log, whichever of its things the path names. */
async function ownerOf({ operations, cases, gateways }: Stores, { caller, params, query }: AuditedCall): Promise<ChainOwner> {
  const partnerId = caller.role === "Partner" ? caller.partnerId : (params["partnerId"] ?? query.partnerId ?? OPERATORS);
  const { tenantId, operationId, caseId, gatewayId } = params;
  if (tenantId !== undefined) return { partnerId, tenantId };
  const found =
    (operationId !== undefined && (await operations.find(partnerId, operationId))) ||
    (caseId !== undefined && (await cases.find(partnerId, caseId))) ||
    (gatewayId !== undefined && (await gateways.find(partnerId, gatewayId))) ||
    undefined;
  return { partnerId, tenantId: found?.tenantId };
}

const kindOf = (params: AuditedCall["params"]): string =>
  Object.keys(params)
    .find((name) => name.endsWith("Id"))
    ?.replace(/Id$/, "") ?? "service";

const nameIn = (params: AuditedCall["params"]): { name?: string } => {
  const [name] = Object.values(params);
  return name === undefined ? {} : { name };
};

const requestIn = (body: unknown): { request?: unknown } =>
  typeof body === "object" && body !== null && Object.keys(body).length > 0 ? { request: body } : {};

/** An operation's own entries are found by its id, and so is whoever asked for it. */
function operationIn(body: unknown): { operationId?: string } {
  const { id, kind, steps } = (body ?? {}) as { id?: unknown; kind?: unknown; steps?: unknown };
  return typeof id === "string" && typeof kind === "string" && Array.isArray(steps) ? { operationId: id } : {};
}
