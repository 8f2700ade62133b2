/** Proves that mail goes through the gateway and comes back: mail after mail, until one does. */
import type { Loop } from "../desired/state.ts";
import { branch } from "../durable/branches.ts";
import type { Patience } from "../durable/patience.ts";
import type { Work } from "../durable/resources.ts";
import type { Routine } from "../durable/routine.ts";
import { errorOf, stepsOf } from "../durable/steps.ts";
import { secondsNow, wait } from "../durable/wait.ts";
import type { LoopActivities } from "./loop-activities.ts";
import { probeSubject } from "./subject.ts";

/** How a probe mail came back. */
export interface LoopEvidence {
  subject: string;
  /** `Received:` headers, the first hop first. */
  hops: string[];
  at: string;
}

export interface LoopPace {
  patience: Patience;
  probeIntervalInSeconds: number;
}

export interface LoopProof {
  work: Work;
  pace: LoopPace;
  loop: Loop;
  /** With a machine's suffix where each is proven. */
  step: `probeMail${string}` | "pilotProbeMail" | "liveProbeMail";
  round: number;
  /** Which one it is, of several that are one step. */
  search?: number;
  /** Seconds since 1970. */
  deadline: number;
}

/**
 * How often a mail is looked for before the next one is sent: rules propagate, so an early mail may go round the gateway. Each mail is
 * given twice the time of the one before, so that a slow loop is proven too: a mail that comes back after the next one was sent isn't
 * looked for any more.
 */
const looksFor = (round: number): number => FEWEST_LOOKS * 2 ** Math.min(round - 1, MOST_DOUBLINGS);
const FEWEST_LOOKS = 4;
const MOST_DOUBLINGS = 4;

/** Propagation is observed, never slept: mail after mail until one comes back through the gateway. One mail an execution. */
export const proveLoop = branch("proveLoop", function* (context, proof: LoopProof): Routine<LoopEvidence> {
  const { sendProbe, checkProbe, failProbe } = stepsOf<LoopActivities>(context, proof.pace.patience);
  const { work, pace, loop, step, search, round, deadline } = proof;
  const subject = probeSubject(work, search === undefined ? step : `${step} ${search}`, round);
  yield* sendProbe({ work, step, loop, subject });
  for (let look = 1; look <= looksFor(round) && secondsNow(context) <= deadline; look++) {
    yield* wait(context, pace.probeIntervalInSeconds);
    const probe = yield* checkProbe({ work, step, loop, subject });
    if (probe.found === "looped") return probe.evidence;
    if (probe.found === "bypassed") break;
  }
  if (secondsNow(context) > deadline) throw errorOf(yield* failProbe({ work, step, loop }));
  context.df.continueAsNew({ ...proof, round: round + 1 });
  return { subject, hops: [], at: "" }; // nobody sees it: the next execution answers
});
