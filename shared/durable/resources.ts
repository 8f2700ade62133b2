/** Resources in orchestrations: `ensure` writes what differs, waits for the cloud's long-running work on durable timers, and gives what is. */
import { ControlPlaneError } from "../errors.ts";
import type { Ensured } from "../resources/ensure.ts";
import type { Begun, Resource } from "../resources/resource.ts";
import type { ResourceActivities } from "../resources/activities.ts";
import { branch, child } from "./branches.ts";
import type { Patience } from "./patience.ts";
import type { OrchestrationContext, Routine } from "./routine.ts";
import { failureFrom, stepsOf } from "./steps.ts";
import { secondsNow, wait } from "./wait.ts";

/** On whose behalf a step works: what its records and log lines are filed under. */
export interface Work {
  operationId: string;
  partnerId: string;
  tenantId: string;
  /** The first one when it is left out. */
  attempt?: number;
}

export interface ResourcePace {
  patience: Patience;
  /** How long one piece of the cloud's own long-running work may take. */
  operationDeadlineInSeconds: number;
}

export type DesiredOf<R> = R extends Resource<infer Desired, infer _> ? Desired : never;
export type ActualOf<R> = R extends Resource<infer _, infer Actual> ? Actual : never;

/** After this many rounds of write and wait the cloud is not going to agree: two writers, or a value it changes by itself. */
const MOST_ROUNDS = 4;

export const resourceSteps = <Resources>(context: OrchestrationContext, work: Work, pace: ResourcePace) => {
  const { ensureResource, confirmResource, removeResource, dropResource, recordFailure } = stepsOf<ResourceActivities>(
    context,
    pace.patience,
  );
  /** Follows the cloud's long-running work on a resource to its end. */
  function* ended(kind: string, begun: Begun, desired: unknown, suffix: string): Routine<void> {
    const deadline = secondsNow(context) + pace.operationDeadlineInSeconds;
    const input = { work, ...begun, entraTenantId: tenantOf(desired), patience: pace.patience, deadline, kind, ticks: 0 };
    yield* child(context, waitForOperation, input, suffix);
  }

  /** The same, for work whose failure is the step's. */
  function* endedFor(step: string, ...following: Parameters<typeof ended>): Routine<void> {
    try {
      yield* ended(...following);
    } catch (error) {
      yield* recordFailure({ work, step, failure: failureFrom(error) });
      throw error;
    }
  }

  return {
    /**
     * Makes the resource true; `step` names it in the operation's step graph. `attempt` counts from 1 where the same step is tried
     * with another desired state.
     */
    *ensure<Kind extends keyof Resources & string>(
      kind: Kind,
      step: string,
      desired: DesiredOf<Resources[Kind]>,
      attempt = 1,
    ): Routine<ActualOf<Resources[Kind]>> {
      const of = attempt === 1 ? step : `${step}-${attempt}`;
      for (let round = 1; round <= MOST_ROUNDS; round++) {
        const ensured: Ensured<unknown> = yield* ensureResource({ work, step, kind, desired });
        if ("actual" in ensured) return ensured.actual as ActualOf<Resources[Kind]>;
        yield* endedFor(step, kind, ensured.begun, desired, `${of}-${round}`);
      }
      throw new ControlPlaneError(
        "ResourceUnstable",
        `the ${kind} differs again after each write; is something else changing it?`,
        409,
      );
    },

    /** Takes the resource away, to its end. */
    *remove<Kind extends keyof Resources & string>(
      kind: Kind,
      step: string,
      desired: DesiredOf<Resources[Kind]>,
      attempt = 1,
    ): Routine<void> {
      const removed = yield* removeResource({ work, kind, desired });
      if (removed.state === "begun") yield* ended(kind, removed, desired, `${step}-${attempt}-removed`);
    },

    /** Takes the resource away to its end, as a step of its own. */
    *drop<Kind extends keyof Resources & string>(kind: Kind, step: string, desired: DesiredOf<Resources[Kind]>): Routine<void> {
      for (let round = 1; round <= MOST_ROUNDS; round++) {
        const removed = yield* dropResource({ work, step, kind, desired });
        if (removed.state === "done") return;
        yield* endedFor(step, kind, removed, desired, `${step}-${round}`);
      }
      throw new ControlPlaneError(
        "ResourceUnstable",
        `the ${kind} is there again after each removal; is something else making it?`,
        409,
      );
    },

    /** Reads the resource back and insists that it is as desired, writing nothing. */
    *confirm<Kind extends keyof Resources & string>(
      kind: Kind,
      step: string,
      desired: DesiredOf<Resources[Kind]>,
    ): Routine<ActualOf<Resources[Kind]>> {
      return (yield* confirmResource({ work, step, kind, desired })) as ActualOf<Resources[Kind]>;
    },
  };
};

/** Long-running work exists only in Azure, whose desired shapes name the subscription's Entra tenant. */
const tenantOf = (desired: unknown): string => (desired as { entraTenantId?: string }).entraTenantId ?? "";

interface RunningOperation {
  /** Whose wait it is: it ends early when that is canceled. */
  work: Work;
  operationUrl: string;
  retryAfterInSeconds: number;
  entraTenantId: string;
  kind: string;
  patience: Patience;
  /** Seconds since 1970. */
  deadline: number;
  ticks: number;
}

/** A history that grows with each tick is replayed with each tick: start afresh now and then. */
const TICKS_PER_EXECUTION = 20;

/** One GET a tick on the cloud's operation until it ends; an activity never sleeps. */
export const waitForOperation = branch("waitForOperation", function* (context, running: RunningOperation): Routine<void> {
  const { pollOperation } = stepsOf<ResourceActivities>(context, running.patience);
  const { work, operationUrl, entraTenantId, kind } = running;
  let retryAfterInSeconds = running.retryAfterInSeconds;
  for (let tick = 0; tick < TICKS_PER_EXECUTION; tick++) {
    yield* wait(context, retryAfterInSeconds);
    const polled = yield* pollOperation({ work, operationUrl, entraTenantId });
    if (polled.status === "succeeded") return;
    if (polled.status === "failed")
      throw new ControlPlaneError(polled.error.code, `the cloud's work on the ${kind} failed: ${polled.error.message}`, 502);
    if (secondsNow(context) > running.deadline)
      throw new ControlPlaneError("OperationTimedOut", `the cloud's work on the ${kind} did not end in time`, 504);
    retryAfterInSeconds = polled.retryAfterInSeconds;
  }
  context.df.continueAsNew({ ...running, retryAfterInSeconds, ticks: running.ticks + TICKS_PER_EXECUTION });
});
