/** The partner's door to operations: the status monitor and the list. */
import { operationBody, operationSummaryBody } from "../../shared/api/bodies.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { OperationHeader } from "../../shared/stores/operations.ts";

/** GET /api/operations/{operationId}: 200 in every status, as pollers of Azure's long-running operations expect. */
export const getOperation =
  ({ stores }: ApiWorld): Handler<"getOperation"> =>
  async ({ caller, params, query }) => {
    const operation = await stores.operations.get(partnerInScope(caller, query.partnerId), params.operationId);
    return { body: operationBody(operation), etag: operation.etag, headers: retryAfter(operation) };
  };

/** GET /api/operations */
export const listOperations =
  ({ stores, signer }: ApiWorld): Handler<"listOperations"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await stores.operations.list(partnerInScope(caller, query.partnerId), query, pageSize, after);
    return { body: await pageBody(page, operationSummaryBody, paging) };
  };

/** Seconds after which looking again is worth it; who waits for a person needs to look less often. */
function retryAfter({ status, waitingFor }: OperationHeader): Record<string, string> {
  if (status !== "NotStarted" && status !== "Running") return {};
  return { "retry-after": waitingFor?.kind === "consent" || waitingFor?.kind === "azureAccess" ? "10" : "2" };
}
