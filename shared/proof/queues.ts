/** The proof that no mail waits in a gateway any more, before anything that mail needs is taken away. */
import type { Names } from "../azure/names.ts";
import { branch } from "../durable/branches.ts";
import type { ResourcePace, Work } from "../durable/resources.ts";
import type { Routine } from "../durable/routine.ts";
import { errorOf, stepsOf } from "../durable/steps.ts";
import { secondsNow, wait } from "../durable/wait.ts";
import type { AroundPace } from "./around.ts";
import type { QueueActivities } from "./queue-activities.ts";

/** The step of the operation that this proof is. */
export const QUEUES_STEP = "emptyQueues";

/** For whoever takes away what mail went through: it is seen to go round first, then what waits there leaves. */
export interface LeavingPace extends ResourcePace, AroundPace {
  probeDeadlineInSeconds: number;
  /** How long mail in a queue may take to leave. */
  drainDeadlineInSeconds: number;
}

export interface QueueWait {
  work: Work;
  names: Names;
  pace: LeavingPace;
  /** Seconds since 1970: what a gateway said before says nothing. */
  since: number;
  deadline: number;
  looks: number;
}

/** Every gateway has to say, after the last mail came, that none waits in it. One look an execution. */
export const waitForEmptyQueues = branch("waitForEmptyQueues", function* (context, queues: QueueWait): Routine<void> {
  const { checkQueues, failQueues } = stepsOf<QueueActivities>(context, queues.pace.patience);
  const { work, names, pace, since, deadline, looks } = queues;
  const { waiting } = yield* checkQueues({ work, names, since, first: looks === 0 });
  if (waiting === undefined) return;
  if (secondsNow(context) > deadline) throw errorOf(yield* failQueues({ work, waiting }));
  yield* wait(context, pace.probeIntervalInSeconds);
  context.df.continueAsNew({ ...queues, looks: looks + 1 });
});
