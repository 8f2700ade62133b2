/**
 * Takes a tenant away without losing a mail: first nothing new goes to the gateway, then it is proven that nothing does, then that nothing
 * waits in it; only after that its connectors go, and the machines last. Pure: every effect is a step.
 */
import type { Names } from "../../shared/azure/names.ts";
import { child } from "../../shared/durable/branches.ts";
import { resourceSteps, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine, Task } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow } from "../../shared/durable/wait.ts";
import { proveBypass } from "../../shared/proof/around.ts";
import { type LeavingPace, waitForEmptyQueues } from "../../shared/proof/queues.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { OffboardingActivities } from "./activities.ts";
import { type LeavingHands, wayOut } from "./way-out.ts";

export interface Offboarding {
  work: Work;
  spec: TenantSpec;
  names: Names;
  /** Gives up on a gateway that can't say whether mail waits in it. */
  abandonQueues: boolean;
  /** What stands is kept first. */
  exported?: boolean;
  pace: LeavingPace;
}

export function* offboardTenant(context: OrchestrationContext, tenant: Offboarding): Routine<void> {
  const { work, spec, names, pace } = tenant;
  const steps = stepsOf<OffboardingActivities>(context, pace.patience);
  try {
    if (tenant.exported === true) yield* steps.exportTenant({ work });
    const { ground, drained } = yield* steps.beginOffboarding({ work, spec, names });
    yield* wayOut(handsOf(context, tenant, drained), tenant, ground);
    yield* steps.scanResidue({ work, spec, names, ground });
    yield* steps.finishOffboarding({ work, spec, names, ground });
  } catch (error) {
    yield* steps.failOffboarding({ work, failure: failureFrom(error) });
  }
}

/** Hands that take away. `drained`: an earlier offboarding has seen that no mail needs the gateways. */
function handsOf(context: OrchestrationContext, tenant: Offboarding, drained: boolean): LeavingHands<Task> {
  const { work, names, pace } = tenant;
  const { skipProof, stopWatching, refuseForeign } = stepsOf<OffboardingActivities>(context, pace.patience);
  const { drop, remove } = resourceSteps<Resources>(context, work, pace);
  return {
    // What is desired was made for its kind; the list doesn't carry that.
    drop: ({ kind, step, desired: wanted }) => drop(kind, step, wanted as never),
    proveEmpty: () => (drained ? skipProof({ work }) : proveEmpty(context, tenant)),
    *withdraw(step, record) {
      try {
        yield* remove("spfRecord", step, record);
      } catch (error) {
        if (!(error instanceof ControlPlaneError)) throw error;
      }
    },
    stopWatching: () => stopWatching({ work, names }),
    *dropGroup(step, group) {
      yield* refuseForeign({ work, step, group });
      yield* drop("resourceGroup", step, group);
    },
  };
}

/** Nothing new comes to the gateways, and nothing waits in them. */
function* proveEmpty(context: OrchestrationContext, { work, spec, names, abandonQueues, pace }: Offboarding): Routine<void> {
  const { skipQueues, keepDrained } = stepsOf<OffboardingActivities>(context, pace.patience);
  const probed = secondsNow(context) + pace.probeDeadlineInSeconds + pace.settleInSeconds;
  yield* child(context, proveBypass, { work, spec, pace, round: 1, deadline: probed }, "bypass");
  if (abandonQueues) yield* skipQueues({ work });
  else {
    const since = secondsNow(context);
    const deadline = since + pace.drainDeadlineInSeconds;
    yield* child(context, waitForEmptyQueues, { work, names, pace, since, deadline, looks: 0 }, "queues");
  }
  yield* keepDrained({ work });
}
