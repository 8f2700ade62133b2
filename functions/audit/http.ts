/** The doors of the audit log: a tenant's for its partner and operators, a partner's own for operators. */
import type { Handler } from "../../shared/api/endpoint.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";

/** GET /api/tenants/{tenantId}/audit: newest first; a tenant that is gone keeps its log. */
export const listAudit =
  ({ stores, signer }: ApiWorld): Handler<"listAudit"> =>
  async ({ caller, params, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const { partnerId, id: tenantId } = await stores.tenants.get(partnerInScope(caller, query.partnerId), params.tenantId);
    const page = await stores.audit.list({ partnerId, tenantId }, query, pageSize, after);
    return { body: await pageBody(page, (entry) => entry, paging) };
  };

/** GET /api/partners/{partnerId}/audit */
export const listPartnerAudit =
  ({ stores, signer }: ApiWorld): Handler<"listPartnerAudit"> =>
  async ({ caller, params, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const { id: partnerId } = await stores.partners.get(params.partnerId);
    return { body: await pageBody(await stores.audit.list({ partnerId }, query, pageSize, after), (entry) => entry, paging) };
  };
