/**
 * Brings back what differs: one after another in the manual's order, each with the one write that its differences take, so that no rule
 * sends mail where its way is not whole. The first step that fails ends it. Pure: every effect is a step.
 */
import { resourceSteps, type ResourcePace, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { RepairActivities } from "./activities.ts";

export interface Repair {
  work: Work;
  /** What was asked for, by the names of its steps. */
  steps: string[];
  pace: ResourcePace;
}

export function* repairTenant(context: OrchestrationContext, { work, steps, pace }: Repair): Routine<void> {
  const { beginRepair, lookForRepair, checkWay, finishRepair, failRepair } = stepsOf<RepairActivities>(context, pace.patience);
  const { ensure } = resourceSteps<Resources>(context, work, pace);
  try {
    yield* beginRepair({ work });
    for (const { kind, step, wanted, proveFirst } of yield* lookForRepair({ work, steps })) {
      if (proveFirst) yield* checkWay({ work, loop: proveFirst });
      yield* ensure(kind, step, wanted as never);
    }
    yield* finishRepair({ work, steps });
  } catch (error) {
    yield* failRepair({ work, failure: failureFrom(error) });
  }
}
