/** A wait for what nothing shows: until every server knows what was written. It is a step of its own, and the operation says until when. */
import type { Work } from "../durable/resources.ts";
import type { OrchestrationContext, Routine } from "../durable/routine.ts";
import type { Patience } from "../durable/patience.ts";
import { stepsOf } from "../durable/steps.ts";
import { secondsNow, wait } from "../durable/wait.ts";
import type { SettlingActivities } from "./settling-activities.ts";

export function* settle(
  context: OrchestrationContext,
  { work, step, seconds, patience }: { work: Work; step: string; seconds: number; patience: Patience },
): Routine<void> {
  const { beginSettling, endSettling } = stepsOf<SettlingActivities>(context, patience);
  yield* beginSettling({ work, step, until: secondsNow(context) + seconds });
  yield* wait(context, seconds);
  yield* endSettling({ work, step });
}
