/** The operators' door to partners, and everybody's question who they are. */
import { partnerBody } from "../../shared/api/bodies.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";

/** PUT /api/partners/{partnerId}: the same registration twice changes nothing. */
export const putPartner =
  ({ stores }: ApiWorld): Handler<"putPartner"> =>
  async ({ params, body, checkConditions }) => {
    const { partner, created } = await stores.partners.put({ id: params.partnerId, ...body }, checkConditions);
    return { status: created ? 201 : 200, body: partnerBody(partner), etag: partner.etag };
  };

/** GET /api/partners/{partnerId} */
export const getPartner =
  ({ stores }: ApiWorld): Handler<"getPartner"> =>
  async ({ params }) => {
    const partner = await stores.partners.get(params.partnerId);
    return { body: partnerBody(partner), etag: partner.etag };
  };

/** GET /api/partners */
export const listPartners =
  ({ stores, signer }: ApiWorld): Handler<"listPartners"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    return { body: await pageBody(await stores.partners.list(pageSize, after), partnerBody, paging) };
  };

/** GET /api/me: the token's caller is the whole answer. */
export const getMe: Handler<"getMe"> = ({ caller }) => ({ body: caller });
