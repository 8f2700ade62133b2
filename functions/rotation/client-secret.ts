/** Client secrets: Entra takes several at once, so that both work until the overlap is over. */
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { stepsOf } from "../../shared/durable/steps.ts";
import { waitForEventOr } from "../../shared/durable/wait.ts";
import type { RotationActivities } from "./activities.ts";
import { rotate, type Rotation } from "./orchestrator.ts";

/** Nobody has to wait for the end of the overlap to see that the rotation was canceled: the next activity reads it. */
export const OVERLAP_CANCELED = "overlapCanceled";

export function* rotateClientSecret(context: OrchestrationContext, rotation: Rotation): Routine<void> {
  const { work, key, generation, spec, pace } = rotation;
  const steps = stepsOf<RotationActivities>(context, pace.patience);
  const { lifetimeInSeconds } = pace;
  yield* rotate(context, rotation, {
    create: () => steps.createClientSecret({ work, key, generation, spec, lifetimeInSeconds }),
    test: (version) => steps.testClientSecret({ work, step: "testSecret", key, spec, version }),
    told: ({ reference }) => ({ secrets: { [key.name]: reference } }),
    verify: (version) => steps.testClientSecret({ work, step: "verifySecret", key, spec, version }),
    flip: (made) => steps.flipClientSecret({ work, key, generation, made }),
    *overlap() {
      yield* steps.beginOverlap({ work });
      yield* waitForEventOr(context, OVERLAP_CANCELED, pace.overlapInSeconds);
      return true;
    },
    revoke: (current) => steps.revokeClientSecrets({ work, key, spec, current }),
  });
}
