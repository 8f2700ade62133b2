/** The doors to delisting cases: the list, one of them, and the word that its removal was asked for. */
import type { DurableClient } from "durable-functions";
import { delistingBody } from "../../shared/api/bodies.ts";
import { endpoint, type Handler } from "../../shared/api/endpoint.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { acknowledge } from "./case-tasks.ts";
import { ACKNOWLEDGED } from "./orchestrator.ts";

/** GET /api/delistings */
export const listDelistings =
  ({ stores, signer }: ApiWorld): Handler<"listDelistings"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const page = await stores.cases.list(partnerInScope(caller, query.partnerId), query, pageSize, after);
    return { body: await pageBody(page, delistingBody, paging) };
  };

/** GET /api/delistings/{caseId} */
export const getDelisting =
  ({ stores }: ApiWorld): Handler<"getDelisting"> =>
  async ({ caller, params, query }) => {
    const one = await stores.cases.get(partnerInScope(caller, query.partnerId), params.caseId);
    return { body: delistingBody(one), etag: one.etag };
  };

/** POST /api/delistings/{caseId}/acknowledge: the first word counts; a ticket may be added later. */
export const acknowledgeDelisting = (world: ApiWorld, client: DurableClient) =>
  endpoint("acknowledgeDelisting", world, async ({ caller, params: { caseId }, query, body: { ticket } }) => {
    const partnerId = partnerInScope(caller, query.partnerId);
    const changed = await acknowledge(world, { partnerId, caseId }, { by: caller.role, ticket });
    // Nobody may be waiting at this instant: the case's next look sees its record all the same.
    await client
      .raiseEvent(caseId, ACKNOWLEDGED, null)
      .catch((error: unknown) => world.log.information("nobody waits for this acknowledgement", { caseId, error }));
    return { body: delistingBody(changed) };
  });
