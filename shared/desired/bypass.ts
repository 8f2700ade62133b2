/** A tenant whose mail goes round its gateway for a while: what is remembered of how it was before. */
import type { Stage } from "../api/tenant.ts";
import type { TenantRecord } from "../stores/tenants.ts";

export interface BypassCause {
  /** Somebody asked for it, or the tenant's spec did. */
  by: "call" | "policy";
  reason: string;
}

/** The tenant's fact `bypass`, from before the first write until the restore has ended. */
export interface Bypass extends BypassCause {
  /** To be returned to. */
  stage: "pilot" | "live";
  since: string;
}

export const bypassOf = ({ facts }: Pick<TenantRecord, "facts">): Bypass | undefined => facts["bypass"] as Bypass | undefined;

/** The stage apart from a bypass: which of its rules a tenant has does not change while mail goes round them. */
export const settledStage = (tenant: Pick<TenantRecord, "stage" | "facts">): Stage =>
  tenant.stage === "bypassed" ? (bypassOf(tenant)?.stage ?? "pilot") : tenant.stage;
