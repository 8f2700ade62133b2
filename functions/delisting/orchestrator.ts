/**
 * One case: an address is on a blocklist. Evidence first, then a task for a person or patience, then looking again and again until the
 * list says three times that it is gone. After the deadline a person is asked to step in, and the case is watched on. Pure: every effect
 * is a step.
 */
import type { Patience } from "../../shared/durable/patience.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, waitForEventOr } from "../../shared/durable/wait.ts";
import type { DelistingActivities } from "./activities.ts";

/** Names a case in every step. */
export interface Case {
  caseId: string;
  partnerId: string;
}

export interface DelistingPace {
  patience: Patience;
  /** Before the first look; doubles with each look that finds the address still listed. */
  firstWaitInSeconds: number;
  /** From the start; then a person is asked to step in. */
  deadlineInSeconds: number;
  /** Between the clean answers that close the case. */
  confirmAfterInSeconds: number;
}

/** What a case is started with; `progress` grows from one execution to the next. */
export interface DelistingInput extends Case {
  pace: DelistingPace;
  progress?: Progress;
}

interface Progress {
  prepared: boolean;
  /** Seconds since 1970. */
  began: number;
  waitInSeconds: number;
  cleanAnswers: number;
  reminders: number;
  acknowledged: boolean;
  escalated: boolean;
}

/** Raised when somebody says that the removal was asked for; only a hint to look at the case's record. */
export const ACKNOWLEDGED = "delistingAcknowledged";

/** With a first wait of a quarter of an hour the longest is a day. */
const LONGEST_WAIT_FACTOR = 96;
/** With a first wait of a quarter of an hour these are one hour and four hours without an answer. */
const REMINDER_FACTORS = [4, 16];
const CLEAN_ANSWERS = 3;

/** One look an execution, so that a case of weeks keeps a short history. */
export function* delistAddress(context: OrchestrationContext, input: DelistingInput): Routine<"closed" | "watched"> {
  const { caseId, partnerId, pace } = input;
  const one: Case = { caseId, partnerId };
  const progress = input.progress ?? beginning(secondsNow(context), pace);
  const { cleanAnswers } = progress;

  const next = progress.prepared ? progress : { ...progress, ...(yield* prepare(context, one, pace)) };
  yield* waitForEventOr(context, ACKNOWLEDGED, waitOf(next, pace, secondsNow(context)));
  const looked = yield* look(context, one, pace);

  const acknowledged = next.acknowledged || looked.acknowledged;
  const answers = looked.verdict === "clean" ? cleanAnswers + 1 : looked.verdict === "listed" ? 0 : cleanAnswers;
  const outcome = looked.released ? "released" : answers >= CLEAN_ANSWERS ? "delisted" : undefined;
  if (outcome && (yield* close(context, one, pace, outcome))) return "closed";

  const now = secondsNow(context);
  // What looks gone is not worth a person's time, unless it comes back.
  const stays = answers === 0;
  const reminders = stays ? yield* remind(context, one, pace, { ...next, acknowledged }, now) : next.reminders;
  const overdue = now >= next.began + pace.deadlineInSeconds;
  const escalated = next.escalated || (overdue && stays && (yield* escalate(context, one, pace)));

  context.df.continueAsNew({
    ...input,
    progress: {
      ...next,
      // What had to be put right is looked at again with each round.
      prepared: next.prepared && !looked.blocked,
      waitInSeconds:
        acknowledged && !next.acknowledged ? pace.firstWaitInSeconds : Math.min(next.waitInSeconds * 2, longest(pace)),
      cleanAnswers: Math.min(answers, CLEAN_ANSWERS - 1),
      reminders,
      acknowledged,
      escalated,
    },
  } satisfies DelistingInput);
  return "watched"; // nobody sees it: the next execution answers
}

const beginning = (now: number, pace: DelistingPace): Progress => ({
  prepared: false,
  began: now,
  waitInSeconds: pace.firstWaitInSeconds,
  cleanAnswers: 0,
  reminders: 0,
  acknowledged: false,
  escalated: false,
});

const longest = ({ firstWaitInSeconds }: DelistingPace): number => firstWaitInSeconds * LONGEST_WAIT_FACTOR;

/** Until the next look: soon while it looks gone, else as the doubling says, but not past the deadline or a reminder. */
function waitOf(progress: Progress, pace: DelistingPace, now: number): number {
  if (progress.cleanAnswers > 0) return pace.confirmAfterInSeconds;
  const ends = [now + progress.waitInSeconds];
  if (!progress.escalated) ends.push(progress.began + pace.deadlineInSeconds);
  const factor = REMINDER_FACTORS[progress.reminders];
  if (factor !== undefined && !progress.acknowledged && !progress.escalated)
    ends.push(progress.began + factor * pace.firstWaitInSeconds);
  return Math.max(1, Math.min(...ends) - now);
}

/** Gathers evidence and, from it, offers a person the task or says what is waited for. */
function* prepare(context: OrchestrationContext, one: Case, pace: DelistingPace): Routine<Partial<Progress>> {
  const { gatherEvidence, offerTask } = stepsOf<DelistingActivities>(context, pace.patience);
  const work = function* (): Routine<{ escalated: boolean }> {
    yield* gatherEvidence(one);
    return yield* offerTask(one);
  };
  const offered = yield* tried(work());
  return { prepared: offered !== undefined, ...(offered?.escalated ? { escalated: true } : {}) };
}

interface Look {
  verdict: "listed" | "clean" | "unknown";
  acknowledged: boolean;
  /** Something has to be put right first. */
  blocked: boolean;
  /** The address is no longer the tenant's. */
  released: boolean;
}

function* look(context: OrchestrationContext, one: Case, pace: DelistingPace): Routine<Look> {
  const { checkListing } = stepsOf<DelistingActivities>(context, pace.patience);
  const nothing: Look = { verdict: "unknown", acknowledged: false, blocked: false, released: false };
  return (yield* tried<Look>(checkListing(one))) ?? nothing;
}

function* remind(
  context: OrchestrationContext,
  one: Case,
  pace: DelistingPace,
  { reminders, acknowledged, escalated, began }: Progress,
  now: number,
): Routine<number> {
  const factor = REMINDER_FACTORS[reminders];
  if (factor === undefined || acknowledged || escalated || now < began + factor * pace.firstWaitInSeconds) return reminders;
  const { remindOfTask } = stepsOf<DelistingActivities>(context, pace.patience);
  yield* tried(remindOfTask({ ...one, number: reminders + 1 }));
  return reminders + 1;
}

function* escalate(context: OrchestrationContext, one: Case, pace: DelistingPace): Routine<boolean> {
  const { escalateCase } = stepsOf<DelistingActivities>(context, pace.patience);
  return (yield* tried(escalateCase(one))) !== undefined;
}

function* close(
  context: OrchestrationContext,
  one: Case,
  pace: DelistingPace,
  outcome: "delisted" | "released",
): Routine<boolean> {
  const { closeCase } = stepsOf<DelistingActivities>(context, pace.patience);
  return (yield* tried(closeCase({ ...one, outcome }))) !== undefined;
}

/** A case is never given up because a step failed for good: what is missing is done in the next round. */
function* tried<T>(routine: Routine<T>): Routine<T | undefined> {
  try {
    return yield* routine;
  } catch {
    return undefined;
  }
}
