/**
 * Mission C5: from the pilot to everybody, and back. The pilot's rules stay where they are; going live adds rules for whole domains below
 * them and going back takes those away, so that at no moment a rule is without its scope. Pure: every effect is a step.
 */
import type { Names } from "../../shared/azure/names.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { child } from "../../shared/durable/branches.ts";
import { resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine, Task } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow } from "../../shared/durable/wait.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { OnboardingActivities } from "./activities.ts";
import { type LoopEvidence, type LoopProof, proveLoop } from "../../shared/proof/loop.ts";
import type { OnboardingPace } from "./orchestrator.ts";
import type { PromotionActivities } from "./promotion-activities.ts";
import { narrowToPilot, type StageHands, widenToEverybody } from "./stages.ts";

export interface StageChange {
  work: Work;
  spec: TenantSpec;
  names: Names;
  /** As the onboarding has left it. */
  ground: Ground;
  pace: OnboardingPace;
}

export function* promoteTenant(context: OrchestrationContext, tenant: StageChange): Routine<void> {
  const { work, spec, ground, pace } = tenant;
  const { beginOnboarding } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { finishPromotion, failStageChange } = stepsOf<PromotionActivities>(context, pace.patience);
  try {
    yield* beginOnboarding({ work });
    const evidence = yield* widenToEverybody(handsOf(context, tenant), tenant, ground);
    yield* finishPromotion({ work, domains: spec.microsoft365.domains, incoming: spec.pilot.incoming === true, evidence });
  } catch (error) {
    yield* failStageChange({ work, failure: failureFrom(error) });
  }
}

export function* demoteTenant(context: OrchestrationContext, tenant: StageChange): Routine<void> {
  const { work, spec, ground, pace } = tenant;
  const { beginOnboarding } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { finishDemotion, failStageChange } = stepsOf<PromotionActivities>(context, pace.patience);
  try {
    yield* beginOnboarding({ work });
    const evidence = yield* narrowToPilot(handsOf(context, tenant), tenant, ground);
    yield* finishDemotion({ work, pilots: spec.pilot.addresses, evidence });
  } catch (error) {
    yield* failStageChange({ work, failure: failureFrom(error) });
  }
}

/** Hands that make true what the way names. */
function handsOf(context: OrchestrationContext, tenant: StageChange): StageHands<Task, LoopEvidence> {
  const { work, names, ground, pace } = tenant;
  const { ensure, drop, confirm } = resourceSteps<Resources>(context, work, pace);
  const { checkStartTls } = stepsOf<OnboardingActivities>(context, pace.patience);
  const { checkReady } = stepsOf<PromotionActivities>(context, pace.patience);
  return {
    ensure,
    drop,
    confirm,
    ready: () => checkReady({ work, names }),
    startTls: () => checkStartTls({ work, loop: desired.loop(tenant, ground) }),
    prove: (step) => prove(context, tenant, step),
  };
}

function* prove(context: OrchestrationContext, tenant: StageChange, step: LoopProof["step"]): Routine<LoopEvidence> {
  const { work, ground, pace } = tenant;
  const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
  const loop = desired.loop(tenant, ground);
  return yield* child(context, proveLoop, { work, pace, loop, step, round: 1, deadline }, step);
}
