/** Takes an operation back, in the order that loses no mail. Resumable: what is taken back already is left alone. Pure: every effect is a step. */
import type { Names } from "../../shared/azure/names.ts";
import { branch, child } from "../../shared/durable/branches.ts";
import { waitForOperation, type Work } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { proveBypass } from "../../shared/proof/around.ts";
import { type LeavingPace, waitForEmptyQueues } from "../../shared/proof/queues.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { RollBackActivities, TakenOver } from "./roll-back-activities.ts";

export interface RollBack {
  /** Its attempt is the roll-back's own. */
  work: Work;
  spec: TenantSpec;
  names: Names;
  abandonQueues: boolean;
  pace: LeavingPace;
}

export function* rollBackOperation(context: OrchestrationContext, rollBack: RollBack): Routine<void> {
  const { work, spec, names, pace, abandonQueues } = rollBack;
  const { finishRollBack, failRollBack, skipEmptyQueues } = stepsOf<RollBackActivities>(context, pace.patience);
  try {
    const found = yield* child(context, waitUntilStopped, { work, pace }, "stopped");
    if (found.state !== "ready") return;
    for (const step of found.forwarding) yield* undone(step);
    if (found.proof) yield* proveEmpty();
    for (const step of [...found.rest, ...found.ways]) yield* undone(step);
    yield* finishRollBack({ work, names, withGroup: found.withGroup });
  } catch (error) {
    yield* failRollBack({ work, failure: failureFrom(error) });
  }

  function* undone(step: string): Routine<void> {
    const { undoStep } = stepsOf<RollBackActivities>(context, pace.patience);
    for (let round = 1; round <= MOST_ROUNDS; round++) {
      const undoing = yield* undoStep({ work, step });
      if (undoing.state === "done") return;
      const deadline = secondsNow(context) + pace.operationDeadlineInSeconds;
      yield* child(
        context,
        waitForOperation,
        { work, ...undoing, patience: pace.patience, deadline, ticks: 0 },
        `${step}-${round}`,
      );
    }
    throw new ControlPlaneError(
      "ResourceUnstable",
      `what step ${step} did comes back each time; is something else making it?`,
      409,
    );
  }

  function* proveEmpty(): Routine<void> {
    const probed = secondsNow(context) + pace.probeDeadlineInSeconds + pace.settleInSeconds;
    yield* child(context, proveBypass, { work, spec, pace, round: 1, deadline: probed }, "bypass");
    if (abandonQueues) {
      yield* skipEmptyQueues({ work });
      return;
    }
    const since = secondsNow(context);
    const deadline = since + pace.drainDeadlineInSeconds;
    yield* child(context, waitForEmptyQueues, { work, names, pace, since, deadline, looks: 0 }, "queues");
  }
}

const MOST_ROUNDS = 4;

/** What was under way when it was canceled ends first: nothing that it still does may come after what is taken back. */
export const waitUntilStopped = branch(
  "waitUntilStopped",
  function* (context, stop: Pick<RollBack, "work" | "pace">): Routine<TakenOver> {
    const { takeOver } = stepsOf<RollBackActivities>(context, stop.pace.patience);
    for (let look = 1; look <= LOOKS_PER_EXECUTION; look++) {
      const found = yield* takeOver({ work: stop.work });
      if (found.state !== "stopping") return found;
      yield* wait(context, stop.pace.patience.firstWaitInSeconds);
    }
    context.df.continueAsNew(stop);
    return { state: "stopping" }; // nobody sees it: the next execution answers
  },
);

const LOOKS_PER_EXECUTION = 20;
