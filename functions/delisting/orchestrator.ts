/**
 * One case: an address is on a blocklist. A look at the list, a turn of the case, evidence or a mail where the turn needs it, and then it
 * waits, until the list lets go. What a turn is, `decide.ts` says; the record has all that it needs, so nothing grows here and no restart
 * forgets a wait.
 */
import type { Patience } from "../../shared/durable/patience.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { stepsOf } from "../../shared/durable/steps.ts";
import { waitForEventOr } from "../../shared/durable/wait.ts";
import type { DelistingActivities, Moved } from "./activities.ts";
import type { Sight } from "./decide.ts";

/** Names a case in every step. */
export interface Case {
  caseId: string;
  partnerId: string;
}

export interface DelistingPace {
  patience: Patience;
  /** Before a listed address is first looked up again; doubles with each look. */
  firstWaitInSeconds: number;
  /** From the start, whatever happens; then a person is asked to step in. Eight days, of which a list is given one or more. */
  deadlineInSeconds: number;
  /** Between the clean answers that close the case. */
  confirmAfterInSeconds: number;
}

/** What a case is started with. */
export interface DelistingInput extends Case {
  pace: DelistingPace;
  /** From one execution to the next; without it the list is asked once more before anything is done. */
  waitInSeconds?: number;
}

/** Raised when somebody says that the removal was asked for; only a hint to look at the case's record. */
export const ACKNOWLEDGED = "delistingAcknowledged";

/** One look an execution, so that a case of weeks keeps a short history. */
export function* delistAddress(context: OrchestrationContext, input: DelistingInput): Routine<"closed" | "watched"> {
  const { caseId, partnerId, pace, waitInSeconds = pace.confirmAfterInSeconds } = input;
  yield* waitForEventOr(context, ACKNOWLEDGED, waitInSeconds);
  const moved = yield* turn(context, { caseId, partnerId }, pace);
  if (moved?.state === "closed") return "closed";
  context.df.continueAsNew({
    ...input,
    waitInSeconds: moved?.waitInSeconds ?? pace.firstWaitInSeconds,
  } satisfies DelistingInput);
  return "watched"; // nobody sees it: the next execution answers
}

/** Undefined when it failed for good: no case is given up for that, and the next look does what is missing. */
function* turn(context: OrchestrationContext, one: Case, pace: DelistingPace): Routine<Moved | undefined> {
  const { checkListing, escalateCase, gatherEvidence, moveCase, sendRequest } = stepsOf<DelistingActivities>(
    context,
    pace.patience,
  );
  const sight: Sight | undefined = yield* tried(checkListing(one));
  let moved = yield* tried(moveCase({ ...one, pace, ...(sight ? { sight } : {}) }));
  const needed = moved?.needs;
  if (needed === "evidence") yield* tried(gatherEvidence({ ...one, verdict: sight?.verdict ?? "unknown" }));
  if (needed === "request") yield* tried(sendRequest(one));
  if (needed === "evidence" || needed === "request") moved = yield* tried(moveCase({ ...one, pace }));
  return moved?.needs === "escalation" ? yield* tried(escalateCase({ ...one, pace })) : moved;
}

function* tried<T>(routine: Routine<T>): Routine<T | undefined> {
  try {
    return yield* routine;
  } catch {
    return undefined;
  }
}
