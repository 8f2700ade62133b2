/** Sends a mail in each direction and waits for what is seen of them; when something is wrong that may yet come right, sends others. */
import { branch } from "../../shared/durable/branches.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { errorOf, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import type { Routine } from "../../shared/durable/routine.ts";
import type { Loop } from "../../shared/desired/state.ts";
import type { CanaryLook, CanaryMail, createCanaryActivities } from "./canary.ts";
import type { OnboardingPace } from "./orchestrator.ts";

export interface CanaryProof {
  work: Work;
  pace: OnboardingPace;
  loop: Loop;
  round: number;
  /** Seconds since 1970. */
  deadline: number;
}

type CanaryActivities = ReturnType<typeof createCanaryActivities>;

/** Message traces come minutes after the mail. */
const MOST_LOOKS = 12;

/** Rules propagate: an early mail may go round the gateway, or leave with its header. One round an execution. */
export const proveCanary = branch("proveCanary", function* (context, proof: CanaryProof): Routine<CanaryMail[]> {
  const { work, pace, loop, round, deadline } = proof;
  const { sendCanary, checkCanary, judgeCanary } = stepsOf<CanaryActivities>(context, pace.patience);
  const { sentAt } = yield* sendCanary({ work, loop, round });
  let seen: CanaryLook = { mails: [], ended: false, looped: false };
  for (let look = 1; look <= MOST_LOOKS && !seen.ended && (look === 1 || secondsNow(context) <= deadline); look++) {
    yield* wait(context, pace.probeIntervalInSeconds);
    seen = yield* checkCanary({ work, loop, round, sentAt });
  }
  const { mails, looped } = seen;
  const failed = mails.some(({ verdict }) => verdict === "fail");
  if (failed && !looped && secondsNow(context) <= deadline) {
    context.df.continueAsNew({ ...proof, round: round + 1 });
    return []; // nobody sees it: the next execution answers
  }
  const { failure } = yield* judgeCanary({ work, mails, looped });
  if (failure) throw errorOf(failure);
  return mails;
});
