/** The doors of the audit log: a tenant's for its partner and operators, a partner's own and that of operators themselves for operators. */
import { type AuditEntry, OPERATORS } from "../../shared/api/audit.ts";
import type { Caller } from "../../shared/api/authentication.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { AuditFilter } from "../../shared/stores/audit.ts";
import type { ChainOwner } from "../../shared/stores/audit-chain.ts";

/** GET /api/tenants/{tenantId}/audit: newest first; a tenant that is gone keeps its log. */
export const listAudit =
  (world: ApiWorld): Handler<"listAudit"> =>
  async ({ caller, params, query, url }) => {
    const { partnerId, id: tenantId } = await world.stores.tenants.get(partnerInScope(caller, query.partnerId), params.tenantId);
    return pageOf(world, { partnerId, tenantId }, { caller, query, url });
  };

/** GET /api/partners/{partnerId}/audit */
export const listPartnerAudit =
  (world: ApiWorld): Handler<"listPartnerAudit"> =>
  async ({ caller, params, query, url }) => {
    const { id: partnerId } = await world.stores.partners.get(params.partnerId);
    return pageOf(world, { partnerId }, { caller, query, url });
  };

/** GET /api/audit: timers that were run, dead letters that were sent on, and whatever else is about no partner. */
export const listOperatorAudit =
  (world: ApiWorld): Handler<"listOperatorAudit"> =>
  async ({ caller, query, url }) =>
    pageOf(world, { partnerId: OPERATORS }, { caller, query, url });

interface Asked {
  caller: Caller;
  query: AuditFilter & Parameters<typeof parsePage>[0];
  url: Parameters<typeof parsePage>[1]["url"];
}

async function pageOf(
  { stores, signer }: ApiWorld,
  owner: ChainOwner,
  { caller, query, url }: Asked,
): Promise<{ body: { value: AuditEntry[]; nextLink?: string } }> {
  const paging = { signer, url, audience: audienceOf(caller) };
  const { pageSize, after } = await parsePage(query, paging);
  return { body: await pageBody(await stores.audit.list(owner, query, pageSize, after), (entry) => entry, paging) };
}
