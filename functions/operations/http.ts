/** The partner's door to operations: the status monitor and the list. */
import { operationBody, operationSummaryBody } from "../../shared/api/bodies.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { BeforeImage } from "../../shared/resources/ensure.ts";
import { ended, type OperationHeader } from "../../shared/stores/operations.ts";

/** GET /api/operations/{operationId}: 200 in every status, as pollers of Azure's long-running operations expect. */
export const getOperation =
  ({ stores, settings }: ApiWorld): Handler<"getOperation"> =>
  async ({ caller, params, query }) => {
    const operation = await stores.operations.get(partnerInScope(caller, query.partnerId), params.operationId);
    return { body: operationBody(operation, settings.publicUrl), etag: operation.etag, headers: retryAfter(operation) };
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

/** GET /api/operations/{operationId}/steps/{step}/before-image */
export const getBeforeImage =
  ({ stores: { operations } }: ApiWorld): Handler<"getBeforeImage"> =>
  async ({ caller, params: { operationId, step: name }, query }) => {
    const { steps } = await operations.get(partnerInScope(caller, query.partnerId), operationId);
    const { beforeImage, change = "unchanged" } = steps.find((step) => step.name === name) ?? {};
    if (!beforeImage)
      throw refusal("BeforeImageNotFound", `step ${name} of operation ${operationId} has written nothing`, { target: "step" });
    const { kind, before, changes } = (await operations.readBeforeImage(beforeImage)) as BeforeImage;
    return { body: { step: name, change, kind, before, changes } };
  };

/** Seconds after which looking again is worth it; who waits for a person needs to look less often. */
function retryAfter(operation: OperationHeader): Record<string, string> {
  if (ended(operation)) return {};
  const { waitingFor } = operation;
  return { "retry-after": waitingFor?.kind === "consent" || waitingFor?.kind === "azureAccess" ? "10" : "2" };
}
