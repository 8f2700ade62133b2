/** The doors of stages: from the pilot to everybody, and back. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { waysOpened } from "../../shared/desired/ways.ts";
import { startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { refuseUnlessPiloted } from "./piloted.ts";
import { demoteTenant, promoteTenant, type StageChange } from "./promotion.ts";
import { demotionSteps, promotionSteps } from "./promotion-steps.ts";
import type { OnboardingWorld } from "./world.ts";

/** POST …/promote: everybody's mail in the tenant's domains, after the pilot. */
export const startPromotion = (world: OnboardingWorld, client: DurableClient) =>
  endpoint("startPromotion", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body };
    return accepted(world, await startOperation(world.stores, client, promotionOf(world, body?.plan), asked));
  });

/** POST …/demote: back to the pilot. */
export const startDemotion = (world: OnboardingWorld, client: DurableClient) =>
  endpoint("startDemotion", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body };
    return accepted(world, await startOperation(world.stores, client, demotionOf(world, body?.plan), asked));
  });

export const promotionOf = (world: OnboardingWorld, plan: string | undefined): TenantOperation<StageChange> => ({
  kind: "promotion",
  orchestrator: promoteTenant,
  stepsOf: ({ spec }) => promotionSteps(spec),
  inputOf: (tenant, operationId) => stageChange(tenant, operationId, world.pace),
  factsOf: (tenant) => ({ ways: waysOpened(tenant) }),
  async check(tenant) {
    refuseUnlessPiloted(tenant);
    await world.plans.insistOn("promotion", tenant, plan);
  },
});

export const demotionOf = (world: OnboardingWorld, plan: string | undefined): TenantOperation<StageChange> => ({
  kind: "demotion",
  orchestrator: demoteTenant,
  stepsOf: demotionSteps,
  inputOf: (tenant, operationId) => stageChange(tenant, operationId, world.pace),
  async check(tenant) {
    refuseUnlessPiloted(tenant);
    await world.plans.insistOn("demotion", tenant, plan);
  },
});

function stageChange(tenant: TenantRecord, operationId: string, pace: StageChange["pace"]): StageChange {
  const { work, spec, names } = targetOf(tenant);
  return { work: { ...work, operationId }, spec, names, ground: tenant.facts["ground"] as Ground, pace };
}
