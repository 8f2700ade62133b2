/**
 * Mission C5: from the pilot to everybody, and back. The pilot's rules stay where they are; going live adds rules for whole domains below
 * them and going back takes those away, so that at no moment a rule is without its scope. Pure: every effect is a step.
 */
import type { Names } from "../../shared/azure/names.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { child } from "../../shared/durable/branches.ts";
import { resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow } from "../../shared/durable/wait.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { OnboardingActivities } from "./activities.ts";
import { type LoopEvidence, type LoopProof, type OnboardingPace, proveLoop } from "./orchestrator.ts";
import type { PromotionActivities } from "./promotion-activities.ts";
import { forwardDomains } from "../../shared/runbook/runbook.ts";

export interface StageChange {
  work: Work;
  spec: TenantSpec;
  names: Names;
  /** As the onboarding has left it. */
  ground: Ground;
  pace: OnboardingPace;
}

/** Everybody's mail moves only after gateways and their addresses were seen to be well, and the loop was proven once more. */
export function* promoteTenant(context: OrchestrationContext, tenant: StageChange): Routine<void> {
  const { work, spec, names, ground, pace } = tenant;
  const { beginOnboarding, checkStartTls } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { checkReady, finishPromotion, failStageChange } = stepsOf<PromotionActivities>(context, pace.patience);
  const { ensure, confirm } = resourceSteps<Resources>(context, work, pace);
  const loop = desired.loop(tenant, ground);
  try {
    yield* beginOnboarding({ work });
    yield* checkReady({ work, names });
    yield* confirm("inboundConnector", "inboundConnectorReadBack", desired.inboundConnector(tenant, ground));
    yield* confirm("approvalRule", "approvalRuleReadBack", desired.approvalRule(tenant, ground));
    yield* checkStartTls({ work, loop });
    yield* prove(context, tenant, "probeMail");
    yield* forwardDomains({ ensure }, tenant, ground);
    const evidence = yield* prove(context, tenant, "liveProbeMail");
    yield* finishPromotion({ work, domains: spec.microsoft365.domains, incoming: spec.pilot.incoming === true, evidence });
  } catch (error) {
    yield* failStageChange({ work, failure: failureFrom(error) });
  }
}

/** Only the pilot's mail runs through the gateway from here on. */
export function* demoteTenant(context: OrchestrationContext, tenant: StageChange): Routine<void> {
  const { work, spec, ground, pace } = tenant;
  const { beginOnboarding } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { finishDemotion, failStageChange } = stepsOf<PromotionActivities>(context, pace.patience);
  const { drop } = resourceSteps<Resources>(context, work, pace);
  try {
    yield* beginOnboarding({ work });
    // Both, whatever the spec says by now.
    const everybody = desired.domainForwardingRule(tenant, ground);
    yield* drop("incomingDomainForwardingRule", "incomingDomainForwardingRule", everybody);
    yield* drop("domainForwardingRule", "domainForwardingRule", everybody);
    const evidence = yield* prove(context, tenant, "probeMail");
    yield* finishDemotion({ work, pilots: spec.pilot.addresses, evidence });
  } catch (error) {
    yield* failStageChange({ work, failure: failureFrom(error) });
  }
}

function* prove(context: OrchestrationContext, tenant: StageChange, step: LoopProof["step"]): Routine<LoopEvidence> {
  const { work, ground, pace } = tenant;
  const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
  const loop = desired.loop(tenant, ground);
  return yield* child(context, proveLoop, { work, pace, loop, step, round: 1, deadline }, step);
}
