/** What desired state is made from: a tenant's spec and the names that were derived for it once. */
import { type Names, type NameSource, namesOf } from "../azure/names.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import { machinesBeside } from "./beside.ts";
import { knownByCertificate, type OtherCertificate } from "./certificate.ts";
import { countsOf, type Standing, widest } from "./standing.ts";
import { type Ground, smartHosts } from "./state.ts";
import { closedWays } from "./ways.ts";

export interface Target {
  work: { partnerId: string; tenantId: string };
  spec: TenantSpec;
  names: Names;
  /** Thumbprints of versions in the vault that the gateways were given and that were taken back. */
  refusedCertificates?: string[];
  otherCertificate?: OtherCertificate;
}

/** Kept names win over derived ones: what exists can't be renamed (mission A1). */
export const targetOf = ({ partnerId, id: tenantId, spec, facts }: TenantRecord): Target => ({
  work: { partnerId, tenantId },
  spec,
  names: named(nameSourceOf({ partnerId, tenantId }, spec), facts["names"] as Names | undefined),
  ...(facts["refusedCertificates"] ? { refusedCertificates: facts["refusedCertificates"] as string[] } : {}),
  ...(facts["otherCertificate"] ? { otherCertificate: facts["otherCertificate"] as OtherCertificate } : {}),
});

/** Which names a tenant needs. */
export const nameSourceOf = (owner: Pick<NameSource, "partnerId" | "tenantId">, spec: TenantSpec): NameSource => ({
  ...owner,
  regions: spec.gateway.regions,
  roles: machinesBeside(spec).map(({ role }) => role),
});

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

const settled = new Set<TenantRecord["stage"]>(["pilot", "live", "bypassed"]);

/** A gateway that stands, and whose mail is or may be led through it: before a pilot and after an offboarding there is none. */
export const isStanding = ({ stage }: Pick<TenantRecord, "stage">): boolean => settled.has(stage);

/** While its loop GUID is being replaced: the other one that rules accept. */
export const otherLoopGuidOf = ({ facts }: TenantRecord): Pick<Ground, "otherLoopGuid"> => {
  const { otherLoopGuid } = (facts["ground"] ?? {}) as Partial<Ground>;
  return otherLoopGuid === undefined ? {} : { otherLoopGuid };
};

/** What stands where the spec asks for another number of machines, or fewer ways of mail; undefined where nothing moves. */
export function standingOf(tenant: TenantRecord): Standing | undefined {
  const { names, spec } = targetOf(tenant);
  const wide = widest(names, tenant.facts["names"] as Names | undefined);
  const ground = tenant.facts["ground"] as Ground | undefined;
  const moves = ground !== undefined && String(countsOf(ground.regions)) !== String(countsOf(names.regions));
  const joins = moves && names.regions.some(({ machines }, at) => machines.length > (ground.regions[at]?.machines.length ?? 0));
  const closed = closedWays(tenant);
  if (!moves && closed.length === 0 && String(countsOf(wide.regions)) === String(countsOf(names.regions))) return undefined;
  return {
    names: wide,
    ...(moves ? { smartHosts: smartHosts(ground) } : {}),
    ...(joins && spec.gateway.certificate ? { knownBy: knownByCertificate(ground) ? "certificate" : "address" } : {}),
    ...(closed.length > 0 ? { closedWays: closed } : {}),
  };
}
