/** What desired state is made from: a tenant's spec and the names that were derived for it once. */
import { type Names, namesOf } from "../azure/names.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { TenantSpec } from "../tenants/spec.ts";

export interface Target {
  work: { partnerId: string; tenantId: string };
  spec: TenantSpec;
  names: Names;
}

/** Kept names win over derived ones: what exists can't be renamed (mission A1). */
export const targetOf = ({ partnerId, id: tenantId, spec, facts }: TenantRecord): Target => ({
  work: { partnerId, tenantId },
  spec,
  names: (facts.names as Names | undefined) ?? namesOf({ partnerId, tenantId, region: spec.gateway.region }),
});

/** Whose mail runs through the gateway already: such a tenant is onboarded again without narrowing the rule. */
export const piloted = ({ stage }: Pick<TenantRecord, "stage">): boolean => stage === "pilot" || stage === "live";
