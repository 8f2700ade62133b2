/**
 * Mission D6: bootstrap high, run low. Exchange shows the rights of the Entra role and of our role group as one list, so the narrow way can
 * only be seen by itself: the role goes, the list is looked at until it is what we need, and the role comes back if that doesn't come to be
 * in time. Only then goes the permission by which it could come back. One look an execution.
 */
import type { Target } from "../../shared/desired/target.ts";
import * as desired from "../../shared/desired/privilege.ts";
import { branch } from "../../shared/durable/branches.ts";
import { resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { Routine } from "../../shared/durable/routine.ts";
import { errorOf, type Failure, failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import { type CmdletDifference, expectedCmdlets } from "../../shared/exchange/management-roles.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { OnboardingPace } from "./orchestrator.ts";
import type { Privilege, PrivilegeActivities, PrivilegeOutcome } from "./privilege.ts";

export interface PrivilegeLimit extends Pick<Target, "spec"> {
  work: Work;
  pace: OnboardingPace;
  /** `tried`: the Entra role is gone, and may come back. `restoring`: it has to. */
  phase: "first" | "waiting" | "tried" | "restoring";
  /** Seconds since 1970. */
  deadline: number;
  /** Of `restoring`: what was seen, or what went wrong. */
  found?: CmdletDifference | undefined;
  failure?: Failure | undefined;
}

/** No role group of ours or of a person's every day has it. */
const ADMINISTRATORS_ONLY = "New-RoleGroup";
/** Without any rights no onboarding of ours could mend anything, so this one goes on trying. */
const RESTORED_WITHIN_SECONDS = 24 * 3600;
const STOPPED = new Set(["OperationCanceled", "OperationSuperseded"]);

export const limitPrivilege = branch("limitPrivilege", function* (context, limit: PrivilegeLimit): Routine<Privilege> {
  const { work, spec, pace, phase, deadline } = limit;
  const { comparePrivilege, dropAdministrator, restoreAdministrator, settlePrivilege } = stepsOf<PrivilegeActivities>(
    context,
    pace.patience,
  );
  const { confirm } = resourceSteps<Resources>(context, work, pace);
  if (phase === "restoring") return yield* restored(limit);
  if (phase === "first") yield* confirm("roleGroup", "roleGroupReadBack", desired.roleGroup(limit));

  const found = yield* look();
  if ("failure" in found) return yield* restored(found);
  const settle = (outcome: PrivilegeOutcome) => settlePrivilege({ work, spec, ...found, outcome });
  const needed = found.missing.length === 0;
  let next: PrivilegeLimit["phase"] = phase === "tried" ? "tried" : "waiting";
  try {
    if (needed && found.excess.length === 0) return yield* settle("limited");
    // Whatever is too much then comes from elsewhere: somebody has put our application into another role group.
    if (needed && !found.excess.includes(ADMINISTRATORS_ONLY)) return yield* settle("tooMuch");
    if (needed && phase !== "tried") {
      // Whoever fails at it may have done it.
      next = "tried";
      if ((yield* dropAdministrator({ work, spec })) === "refused") return yield* settle("administratorRemains");
    } else if (secondsNow(context) > deadline) {
      if (needed) return yield* settle("tooMuch");
      if (phase !== "tried") return yield* settle("tooLittle");
      return yield* restored({ found });
    }
  } catch (error) {
    if (next !== "tried") throw error;
    return yield* restored({ failure: failureFrom(error) });
  }
  return yield* again({ phase: next });

  /** Whoever has no rights at all in Exchange Online is refused even that question: then all of them are missing. */
  function* look(): Routine<CmdletDifference | { failure: Failure }> {
    try {
      return yield* comparePrivilege({ work, spec });
    } catch (error) {
      if (phase !== "tried") throw error;
      const failure = failureFrom(error);
      return STOPPED.has(failure.code) ? { failure } : { missing: expectedCmdlets(), excess: [] };
    }
  }

  /** Back to where it worked, whatever it takes: the role has gone by our hand, and nobody else knows. */
  function* restored({ found: seen, failure }: Pick<PrivilegeLimit, "found" | "failure">): Routine<Privilege> {
    try {
      yield* restoreAdministrator({ operation: work, spec });
    } catch (error) {
      // Without the permission there is nothing to restore: it only goes when the narrow way was seen to be enough.
      if (failureFrom(error).code === "ConsentRequired") throw failure ? errorOf(failure) : error;
      if (secondsNow(context) > deadline + RESTORED_WITHIN_SECONDS) throw error;
      return yield* again({ phase: "restoring", found: seen, failure });
    }
    if (failure) throw errorOf(failure);
    return yield* settlePrivilege({ work, spec, missing: [], excess: [], ...seen, outcome: "restored" });
  }

  function* again(change: Partial<PrivilegeLimit>): Routine<Privilege> {
    yield* wait(context, pace.probeIntervalInSeconds);
    context.df.continueAsNew({ ...limit, ...change });
    return { missing: [], excess: [], outcome: "tooMuch", expected: 0 }; // nobody sees it: the next execution answers
  }
});
