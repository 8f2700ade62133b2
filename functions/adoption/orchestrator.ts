/**
 * Takes over what a person made by the manual: looks, marks one object after another, and looks again. Marks are all that is written, so
 * that mail runs on as it did whatever becomes of this. Pure: every effect is a step.
 */
import type { AdoptionChoices } from "../../shared/api/adoption.ts";
import { type ResourcePace, resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { AdoptionActivities } from "./activities.ts";

export interface AdoptionWork {
  work: Work;
  choices: AdoptionChoices;
  /** Hash of what the caller has seen. */
  plan?: string | undefined;
  pace: ResourcePace;
}

export function* adoptTenant(context: OrchestrationContext, { work, choices, plan, pace }: AdoptionWork): Routine<void> {
  const steps = stepsOf<AdoptionActivities>(context, pace.patience);
  const { ensure } = resourceSteps<Resources>(context, work, pace);
  try {
    yield* steps.beginAdoption({ work });
    const markable = yield* steps.lookBeforeAdoption({ work, choices, ...(plan === undefined ? {} : { plan }) });
    for (const { kind, step, wanted } of markable) yield* ensure(kind, step, wanted as never);
    yield* steps.finishAdoption({ work });
  } catch (error) {
    yield* steps.failAdoption({ work, failure: failureFrom(error) });
  }
}
