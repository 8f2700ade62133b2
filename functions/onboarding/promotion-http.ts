/** The doors of stages: from the pilot to everybody, and back. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { demoteTenant, promoteTenant, type StageChange } from "./promotion.ts";
import { demotionSteps, promotionSteps } from "./promotion-steps.ts";
import type { OnboardingWorld } from "./world.ts";

/** POST …/promote: everybody's mail in the tenant's domains, after the pilot. */
export const startPromotion = (world: OnboardingWorld, client: DurableClient) =>
  endpoint("startPromotion", world, async ({ caller: { partnerId }, params: { tenantId }, headers }) => {
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body: undefined };
    return accepted(world, await startOperation(world.stores, client, promotionOf(world), asked));
  });

/** POST …/demote: back to the pilot. */
export const startDemotion = (world: OnboardingWorld, client: DurableClient) =>
  endpoint("startDemotion", world, async ({ caller: { partnerId }, params: { tenantId }, headers }) => {
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body: undefined };
    return accepted(world, await startOperation(world.stores, client, demotionOf(world), asked));
  });

export const promotionOf = (world: OnboardingWorld): TenantOperation<StageChange> => ({
  kind: "promotion",
  orchestrator: promoteTenant,
  stepsOf: ({ spec }) => promotionSteps(spec),
  inputOf: (tenant, operationId) => stageChange(tenant, operationId, world.pace),
  check: async (tenant) => refuseUnlessPiloted(tenant),
});

export const demotionOf = (world: OnboardingWorld): TenantOperation<StageChange> => ({
  kind: "demotion",
  orchestrator: demoteTenant,
  stepsOf: demotionSteps,
  inputOf: (tenant, operationId) => stageChange(tenant, operationId, world.pace),
  check: async (tenant) => refuseUnlessPiloted(tenant),
});

/** A promotion that ended halfway has left rules behind though the stage says pilot: so both ways are open from both stages. */
function refuseUnlessPiloted({ id, stage, facts }: TenantRecord): void {
  if ((stage === "pilot" || stage === "live") && facts["ground"] !== undefined) return;
  throw refusal("NotPiloted", `tenant ${id} is in stage ${stage}: only one whose pilot runs can be promoted or demoted`);
}

function stageChange(tenant: TenantRecord, operationId: string, pace: StageChange["pace"]): StageChange {
  const { work, spec, names } = targetOf(tenant);
  return { work: { ...work, operationId }, spec, names, ground: tenant.facts["ground"] as Ground, pace };
}
