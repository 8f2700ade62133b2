/** The two operations: when a tenant may be led round its gateway and back, and what they are started with. */
import { refusal } from "../../shared/api/error-codes.ts";
import { refuseAdopted } from "../../shared/desired/adopted.ts";
import type { BypassCause } from "../../shared/desired/bypass.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { isStanding, targetOf } from "../../shared/desired/target.ts";
import type { TenantOperation } from "../../shared/durable/tenant-operation.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { bypassTenant, type MailFlowPace, type Redirection, restoreTenant } from "./orchestrator.ts";
import { bypassSteps, restoreSteps } from "./steps.ts";
import type { MailFlowDoors } from "./world.ts";

/** A restore that a person wants needs no reason. */
export const ASKED_FOR: BypassCause = { by: "call", reason: "asked for" };

type Paced = Pick<MailFlowDoors, "mailFlowPace" | "plans">;

/** Asked for again of a tenant that is bypassed already, it looks whether that still holds, and proves it. */
export const bypassing = (world: Paced, cause: BypassCause, plan?: string): TenantOperation<Redirection> => ({
  kind: "bypass",
  orchestrator: bypassTenant,
  stepsOf: bypassSteps,
  inputOf: (tenant, operationId) => redirection(tenant, operationId, cause, world.mailFlowPace),
  async check(tenant) {
    refuseUnlessLed(tenant);
    await world.plans.insistOn("bypass", tenant, plan);
  },
});

export const restoring = (world: Paced, cause: BypassCause, plan?: string): TenantOperation<Redirection> => ({
  kind: "restore",
  orchestrator: restoreTenant,
  stepsOf: restoreSteps,
  inputOf: (tenant, operationId) => redirection(tenant, operationId, cause, world.mailFlowPace),
  async check(tenant) {
    refuseUnlessBypassed(tenant);
    await world.plans.insistOn("restore", tenant, plan);
  },
});

/** One that failed at its very end has led everybody back already: what is left is to say so. */
export const restoringAgain = (world: Paced, cause: BypassCause): TenantOperation<Redirection> => ({
  ...restoring(world, cause),
  check: async (tenant) => refuseUnlessLed(tenant),
});

export function refuseUnlessLed(tenant: TenantRecord): void {
  refuseAdopted(
    tenant,
    "the way back could not be proven without its loop GUID",
    "POST …/onboard makes it whole first; until then switch off the person's forwarding rule by hand",
  );
  if (isStanding(tenant) && tenant.facts["ground"] !== undefined) return;
  const { id, stage } = tenant;
  throw refusal("NothingToBypass", `tenant ${id} is in stage ${stage}: nobody's mail runs through its gateway`);
}

export function refuseUnlessBypassed({ id, stage }: TenantRecord): void {
  if (stage === "bypassed") return;
  throw refusal("NotBypassed", `tenant ${id} is in stage ${stage}: its mail is not led round the gateway`);
}

function redirection(tenant: TenantRecord, operationId: string, cause: BypassCause, pace: MailFlowPace): Redirection {
  const { work, spec, names } = targetOf(tenant);
  return { work: { ...work, operationId }, spec, names, ground: tenant.facts["ground"] as Ground, cause, pace };
}
