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
  names: kept(facts.names as Names | undefined, namesOf({ partnerId, tenantId, regions: spec.gateway.regions })),
});

/** A region or machine that the spec has gained since gets its names by the rule. */
const kept = (known: Names | undefined, derived: Names): Names =>
  known === undefined
    ? derived
    : {
        ...derived,
        ...known,
        regions: derived.regions.map((region) => {
          const same = known.regions.find(({ region: name }) => name === region.region);
          return same
            ? { ...region, ...same, machines: region.machines.map((machine, index) => same.machines[index] ?? machine) }
            : region;
        }),
      };

/** Whose mail runs through the gateway already: such a tenant is onboarded again without narrowing the rule. */
export const piloted = ({ stage }: Pick<TenantRecord, "stage">): boolean => stage === "pilot" || stage === "live";
