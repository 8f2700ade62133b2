/**
 * An installation that a person made by the manual, and that we have taken over: the second desired state of its tenant. Its objects keep
 * the names that they were found with, and what differed from what we would make is desired as it was found; what a person's installation
 * doesn't have is not managed yet. Pure.
 */
import { refusal } from "../api/error-codes.ts";
import type { Names } from "../azure/names.ts";
import type { Found } from "../resources/adoptable.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { RegionGround } from "./state.ts";
import type { Target } from "./target.ts";

/** What is desired of objects that a person has made, by the onboarding's steps. */
export interface AsFound {
  names: Names;
  /** The machine's. */
  size: string;
  /** What differed from what we would make. A step that isn't here is not managed yet. */
  found: Record<string, Found>;
  /** Ids of those that nobody has marked yet. */
  adopting?: Record<string, string> | undefined;
}

/** The tenant's fact `adopted`. */
export interface Adopted extends AsFound {
  operationId: string;
  at: string;
  regions: RegionGround[];
}

export const adoptedOf = ({ facts }: Pick<TenantRecord, "facts">): Adopted | undefined => facts["adopted"] as Adopted | undefined;

/** Also while it is being taken over, and when that has ended early: then some of it carries our marks. */
export const takenOver = ({ facts }: Pick<TenantRecord, "facts">): boolean =>
  facts["adopted"] !== undefined || facts["adopting"] !== undefined;

/** Refuses what needs more than a person's installation has. `instead`: what a person does. */
export function refuseAdopted(tenant: Pick<TenantRecord, "id" | "facts">, what: string, instead: string): void {
  if (takenOver(tenant))
    throw refusal("TenantAdopted", `a person made what stands of tenant ${tenant.id}, and ${what}; ${instead}`);
}

/** What the spec asks for beyond what was found is not wanted yet. */
export function asFoundTarget({ spec, ...target }: Target, { names }: AsFound): Target {
  const { certificate: _certificate, ...gateway } = spec.gateway;
  const regions = names.regions.map(({ region: name, machines }) => ({ name, machines: machines.length }));
  return { ...target, names, spec: { ...spec, gateway: { ...gateway, regions } } };
}
