/** Proves that mail goes round the gateway, whatever led it round: mails in a row that arrive without having met it, for as long as it settles. */
import { branch } from "../durable/branches.ts";
import type { Patience } from "../durable/patience.ts";
import type { Work } from "../durable/resources.ts";
import type { Routine } from "../durable/routine.ts";
import { errorOf, stepsOf } from "../durable/steps.ts";
import { secondsNow, wait } from "../durable/wait.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { AroundActivities } from "./around-activities.ts";
import { probeSubject } from "./subject.ts";

/** The step of the operation that this proof is. */
export const AROUND_STEP = "aroundGateway";

export interface AroundPace {
  patience: Patience;
  probeIntervalInSeconds: number;
  /** For how long probe mails have to go round the gateway before that counts as so on all of Exchange Online's servers. */
  settleInSeconds: number;
}

export interface AroundProof {
  work: Work;
  spec: TenantSpec;
  pace: AroundPace;
  round: number;
  /** Seconds since 1970. */
  deadline: number;
  /** When the first of the mails in a row arrived that went round the gateway; seconds since 1970. */
  around?: number | undefined;
}

/** A mail may be slow; one that is not there after these looks is followed by another. */
const LOOKS_A_MAIL = 8;

/** What rules say is learnt server by server: mails are sent one after another, until they have gone round for as long as it settles. */
export const proveBypass = branch("proveBypass", function* (context, proof: AroundProof): Routine<void> {
  const { sendBypassProbe, checkBypassProbe, endBypass } = stepsOf<AroundActivities>(context, proof.pace.patience);
  const { work, spec, pace, round, deadline } = proof;
  const subject = probeSubject(work, "around", round);
  yield* sendBypassProbe({ work, spec, subject });
  let { around } = proof;
  for (let look = 1; look <= LOOKS_A_MAIL; look++) {
    yield* wait(context, pace.probeIntervalInSeconds);
    const { found } = yield* checkBypassProbe({ work, spec, subject });
    if (found === "absent") continue;
    around = found === "around" ? (around ?? secondsNow(context)) : undefined;
    break;
  }
  const settled = around !== undefined && round > 1 && secondsNow(context) - around >= pace.settleInSeconds;
  if (settled || secondsNow(context) > deadline) {
    const failure = yield* endBypass({ work, spec, settled });
    if (failure) throw errorOf(failure);
    return;
  }
  context.df.continueAsNew({ ...proof, round: round + 1, around });
});
