/** What desired state is made from: a tenant's spec and the names that were derived for it once. */
import { type MachineRole, type Names, type NameSource, namesOf } from "../azure/names.ts";
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
  names: named(nameSourceOf({ partnerId, tenantId }, spec), facts["names"] as Names | undefined),
});

/** Which names a tenant needs. */
export const nameSourceOf = (owner: Pick<NameSource, "partnerId" | "tenantId">, { gateway }: TenantSpec): NameSource => ({
  ...owner,
  regions: gateway.regions,
  roles: rolesOf(gateway),
});

/** Which machines the tenant has beside its gateways. */
export const rolesOf = ({ keyManager }: Pick<TenantSpec["gateway"], "keyManager">): MachineRole[] =>
  keyManager === undefined ? [] : ["keyManager"];

/** A machine beside the gateways has a public address only where its service is open to the internet (mission A8). */
export const hasAddress = (gateway: Pick<TenantSpec["gateway"], "keyManager">, role: MachineRole): boolean =>
  gateway[role]?.services[role] !== undefined;

/** A region or machine that the spec has gained since gets its names by the rule. */
function named(source: NameSource, known: Names | undefined): Names {
  const derived = namesOf({ ...source, home: known?.home.region });
  if (known === undefined) return derived;
  const regions = derived.regions.map((region) => {
    const same = known.regions.find(({ region: name }) => name === region.region);
    const machines = region.machines.map((machine, index) => same?.machines[index] ?? machine);
    return { ...region, ...same, machines };
  });
  return { ...derived, ...known, regions, ...(derived.roles && { roles: { ...derived.roles, ...known.roles } }) };
}

/** Whose mail runs through the gateway already: such a tenant is onboarded again without narrowing the rule. */
export const piloted = ({ stage }: Pick<TenantRecord, "stage">): boolean => stage === "pilot" || stage === "live";
