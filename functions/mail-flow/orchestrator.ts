/**
 * Mission F5: mail goes round a gateway that is down, and comes back. The way round is one rule more; what Exchange Online and the gateway
 * need for mail that is under way stays. Nobody's mail is led back before a probe mail has come back through the gateway. Pure.
 */
import type { Names } from "../../shared/azure/names.ts";
import type { BypassCause } from "../../shared/desired/bypass.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { child } from "../../shared/durable/branches.ts";
import { type ResourcePace, resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine, Task } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow } from "../../shared/durable/wait.ts";
import { type AroundPace, proveBypass } from "../../shared/proof/around.ts";
import { type LoopEvidence, proveLoop } from "../../shared/proof/loop.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { MailFlowActivities } from "./activities.ts";
import { type BackHands, goAround, goBack } from "./ways.ts";

/** What both ways are started with. */
export interface Redirection {
  work: Work;
  spec: TenantSpec;
  names: Names;
  /** As the onboarding has left it. */
  ground: Ground;
  cause: BypassCause;
  pace: MailFlowPace;
}

export interface MailFlowPace extends ResourcePace, AroundPace {
  probeDeadlineInSeconds: number;
}

/** Reads and writes Exchange Online and nothing of Azure's, so that it works when a machine, a region or all of Azure is down. */
export function* bypassTenant(context: OrchestrationContext, tenant: Redirection): Routine<void> {
  const { work, spec, ground, cause, pace } = tenant;
  const { beginBypass, finishBypass, failBypass } = stepsOf<MailFlowActivities>(context, pace.patience);
  const { ensure } = resourceSteps<Resources>(context, work, pace);
  function* proveAround(): Routine<void> {
    const deadline = secondsNow(context) + pace.probeDeadlineInSeconds + pace.settleInSeconds;
    yield* child(context, proveBypass, { work, spec, pace, round: 1, deadline }, "around");
  }
  try {
    yield* beginBypass({ work, cause, at: secondsNow(context) });
    yield* goAround({ ensure, proveAround }, tenant, ground);
    yield* finishBypass({ work, cause, at: secondsNow(context) });
  } catch (error) {
    const rule = desired.bypassRule(tenant, ground);
    yield* failBypass({ work, rule, at: secondsNow(context), failure: failureFrom(error) });
  }
}

export function* restoreTenant(context: OrchestrationContext, tenant: Redirection): Routine<void> {
  const { work, ground, cause, pace } = tenant;
  const { beginRestore, finishRestore, failRestore } = stepsOf<MailFlowActivities>(context, pace.patience);
  try {
    yield* beginRestore({ work, cause, at: secondsNow(context) });
    const evidence = yield* goBack(handsBack(context, tenant), tenant, ground);
    yield* finishRestore({ work, cause, evidence, at: secondsNow(context) });
  } catch (error) {
    yield* failRestore({ work, at: secondsNow(context), failure: failureFrom(error) });
  }
}

function handsBack(context: OrchestrationContext, tenant: Redirection): BackHands<Task, LoopEvidence> {
  const { work, names, ground, pace } = tenant;
  const { checkRecovered, checkGatewayAnswers } = stepsOf<MailFlowActivities>(context, pace.patience);
  const loop = desired.loop(tenant, ground);
  return {
    ...resourceSteps<Resources>(context, work, pace),
    recovered: () => checkRecovered({ work, names }),
    startTls: () => checkGatewayAnswers({ work, loop }),
    *prove() {
      const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
      return yield* child(context, proveLoop, { work, pace, loop, step: "probeMail", round: 1, deadline }, "probe");
    },
  };
}
