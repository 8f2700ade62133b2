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
import { stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { OnboardingPace } from "./orchestrator.ts";
import type { Privilege, PrivilegeActivities, PrivilegeOutcome } from "./privilege.ts";

export interface PrivilegeLimit extends Pick<Target, "spec"> {
  work: Work;
  pace: OnboardingPace;
  /** `tried`: the Entra role is gone, and may come back. */
  phase: "first" | "waiting" | "tried";
  /** Seconds since 1970. */
  deadline: number;
}

/** No role group of ours or of a person's every day has it. */
const ADMINISTRATORS_ONLY = "New-RoleGroup";

export const limitPrivilege = branch("limitPrivilege", function* (context, limit: PrivilegeLimit): Routine<Privilege> {
  const { work, spec, pace, phase, deadline } = limit;
  const { comparePrivilege, dropAdministrator, restoreAdministrator, settlePrivilege } = stepsOf<PrivilegeActivities>(
    context,
    pace.patience,
  );
  const { confirm } = resourceSteps<Resources>(context, work, pace);
  if (phase === "first") yield* confirm("roleGroup", "roleGroupReadBack", desired.roleGroup(limit));

  const found = yield* comparePrivilege({ work, spec });
  const settle = (outcome: PrivilegeOutcome) => settlePrivilege({ work, spec, ...found, outcome });
  const needed = found.missing.length === 0;
  if (needed && found.excess.length === 0) return yield* settle("limited");
  // Whatever is too much then comes from elsewhere: somebody has put our application into another role group.
  if (needed && !found.excess.includes(ADMINISTRATORS_ONLY)) return yield* settle("tooMuch");
  let next: PrivilegeLimit["phase"] = phase === "tried" ? "tried" : "waiting";
  if (needed && phase !== "tried") {
    if ((yield* dropAdministrator({ work, spec })) === "refused") return yield* settle("administratorRemains");
    next = "tried";
  } else if (secondsNow(context) > deadline) {
    if (needed) return yield* settle("tooMuch");
    if (phase !== "tried") return yield* settle("tooLittle");
    yield* restoreAdministrator({ work, spec });
    return yield* settle("restored");
  }
  yield* wait(context, pace.probeIntervalInSeconds);
  context.df.continueAsNew({ ...limit, phase: next });
  return { ...found, outcome: "tooMuch", expected: 0 }; // nobody sees it: the next execution answers
});
