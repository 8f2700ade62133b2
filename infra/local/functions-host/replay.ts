/** Walks the actions of an orchestrator over its history by DurableTask.Core's rules, and says what is new. */

import { EventType, toJson } from "./history.ts";
import type { FailureDetails, HistoryEvent } from "./history.ts";

/** What durable-functions gives back for an episode: always all actions since the start (IOrchestratorState). */
export interface OrchestratorState {
  isDone: boolean;
  actions: Action[][];
  output?: unknown;
  error?: string;
  customStatus?: unknown;
  failureDetails?: FailureDetails;
}

interface RetryOptions {
  firstRetryIntervalInMilliseconds: number;
  maxNumberOfAttempts: number;
  backoffCoefficient?: number;
  maxRetryIntervalInMilliseconds?: number;
  retryTimeoutInMilliseconds?: number;
}

interface ActivityCall {
  functionName: string;
  input?: unknown;
}

interface SubOrchestrationCall extends ActivityCall {
  instanceId?: string;
  version?: string;
}

/** ActionType.js of durable-functions; entities (7, 9, 13, 14) and callHttp (8) aren't modelled. */
export type Action =
  | ({ actionType: 0 } & ActivityCall)
  | ({ actionType: 1; retryOptions: RetryOptions } & ActivityCall)
  | ({ actionType: 2 } & SubOrchestrationCall)
  | ({ actionType: 3; retryOptions: RetryOptions } & SubOrchestrationCall)
  | { actionType: 4; input?: unknown }
  | { actionType: 5; fireAt: string; isCanceled: boolean }
  | { actionType: 6; externalEventName: string }
  | { actionType: 11 | 12; compoundActions: Action[] };

/** Something to do that the history doesn't have yet; `id` is its sequence number. */
export type Decision =
  | { kind: "activity"; id: number; name: string; input: string }
  | { kind: "timer"; id: number; fireAt: number }
  | { kind: "subOrchestration"; id: number; name: string; input: string | null; instanceId: string; version: string | undefined };

export interface Failure {
  /** The text that becomes the instance's output and its parent's `Reason`. */
  reason: string;
  failureDetails?: FailureDetails | undefined;
}

export type Completion =
  | { status: "Completed"; result: string | null }
  | { status: "Failed"; failure: Failure }
  /** Events raised after the decision to continue stay in the inbox of the next execution. */
  | { status: "ContinuedAsNew"; input: string | null; unprocessed: HistoryEvent[] };

export interface Outcome {
  decisions: Decision[];
  completion?: Completion;
  /** The next sequence number by the host's count. */
  nextSequenceNumber: number;
}

export interface Episode {
  executionId: string;
  /** The orchestrator function's name. */
  name: string;
  state: OrchestratorState;
  /** Old events, then the new ones. */
  events: HistoryEvent[];
  knows: (kind: "activity" | "orchestrator", functionName: string) => boolean;
}

const DAY = 24 * 60 * 60 * 1000;
/** Longer timers are made of shorter ones (DurableOrchestrationContext of the extension, `maximumShortTimerDuration`). */
const LONGEST_TIMER = 6 * DAY;
const LONG_TIMER_STEP = 3 * DAY;

/**
 * The rules come from OutOfProcOrchestrationShim.cs of the Durable extension and TaskOrchestrationContext.cs,
 * TaskOrchestrationExecutor.cs and RetryInterceptor.cs of DurableTask.Core: actions run one after another, each awaited, their errors
 * swallowed; each activity, timer and sub-orchestration takes a sequence number when it is reached.
 */
export function replay({ executionId, name, state, events, knows }: Episode): Outcome {
  let now = 0;
  let nextSequenceNumber = 0;
  let continueWith: { input: string | null } | undefined;
  let run: Future | undefined;
  const pending = new Map<number, Decision>();
  const open = new Map<number, Future>();
  const waiting = new Map<string, Future[]>();
  const early = new Map<string, number>();
  const unprocessed: HistoryEvent[] = [];

  type New = Decision extends infer Each ? (Each extends Decision ? Omit<Each, "id"> : never) : never;
  function schedule(decision: New): Future {
    const id = nextSequenceNumber++;
    const future = new Future();
    pending.set(id, { ...decision, id });
    open.set(id, future);
    return future;
  }

  const callActivity = ({ functionName, input }: ActivityCall): Future =>
    schedule({ kind: "activity", name: functionName, input: JSON.stringify([input ?? null]) });

  const callSubOrchestrator = ({ functionName, input, instanceId, version }: SubOrchestrationCall): Future =>
    schedule({
      kind: "subOrchestration",
      name: functionName,
      input: toJson(input),
      instanceId: instanceId || `${executionId}:${nextSequenceNumber}`,
      version,
    });

  function mustKnow(kind: "activity" | "orchestrator", functionName: string): void {
    if (!knows(kind, functionName)) throw new UnknownFunction(kind, functionName);
  }

  function* createTimer(fireAt: number, canceled: boolean): Steps {
    for (;;) {
      const next = fireAt - now > LONGEST_TIMER ? now + LONG_TIMER_STEP : fireAt;
      const id = nextSequenceNumber;
      const fired = schedule({ kind: "timer", fireAt: next });
      if (canceled) {
        open.delete(id);
        fired.fail(new Error("the timer was cancelled"));
      }
      yield fired;
      if (next >= fireAt || now >= fireAt) return;
    }
  }

  function* withRetry(options: RetryOptions, call: () => Future): Steps {
    const began = now;
    let lastError: unknown;
    for (let attempt = 1; attempt <= options.maxNumberOfAttempts; attempt += 1) {
      try {
        yield call();
        return;
      } catch (error) {
        if (error instanceof TaskFailure && error.failureDetails?.IsNonRetriable) throw error;
        lastError = error;
      }
      const last = attempt === options.maxNumberOfAttempts;
      const delay = last ? 0 : retryDelay(options, attempt, now - began);
      if (!last && delay === 0) break;
      // After the last attempt, too: DurableTask.Core keeps a dummy timer there, which takes a sequence number.
      yield drive(createTimer(now + delay, false));
    }
    throw lastError;
  }

  function waitForExternalEvent(eventName: string): Future {
    const key = eventName.toLowerCase();
    const future = new Future();
    const count = early.get(key) ?? 0;
    if (count > 0) {
      early.set(key, count - 1);
      future.complete();
    } else {
      waiting.set(key, [...(waiting.get(key) ?? []), future]);
    }
    return future;
  }

  function start(action: Action): Future {
    switch (action.actionType) {
      case 0:
        mustKnow("activity", action.functionName);
        return callActivity(action);
      case 1:
        mustKnow("activity", action.functionName);
        return drive(withRetry(action.retryOptions, () => callActivity(action)));
      case 2:
        mustKnow("orchestrator", action.functionName);
        return callSubOrchestrator(action);
      case 3:
        mustKnow("orchestrator", action.functionName);
        return drive(withRetry(action.retryOptions, () => callSubOrchestrator(action)));
      case 4:
        continueWith = { input: toJson(action.input) };
        return completed();
      case 5:
        return drive(createTimer(Date.parse(action.fireAt), action.isCanceled));
      case 6:
        return waitForExternalEvent(action.externalEventName);
      case 11:
        return whenAny(action.compoundActions.map(start));
      case 12:
        return whenAll(action.compoundActions.map(start));
      default:
        throw new UnsupportedAction((action as { actionType: number }).actionType);
    }
  }

  function* orchestration(): Steps {
    for (const action of state.actions.flat()) {
      const future = start(action);
      try {
        yield future;
      } catch {
        // The orchestrator has seen this error already, in the library's own replay.
      }
    }
    if (state.error === undefined && !state.isDone) yield new Future();
  }

  function settle(id: number | undefined, how: (future: Future) => void): void {
    const future = id === undefined ? undefined : open.get(id);
    if (id === undefined || !future) return;
    open.delete(id);
    how(future);
  }

  /** The history's own decision must be what this replay decided. Inputs aren't compared, as in DurableTask.Core. */
  function match(event: HistoryEvent, kind: Decision["kind"]): void {
    const decision = pending.get(event.EventId);
    const before = `a previous execution scheduled ${kind} '${event.Name ?? ""}' as task ${event.EventId}`;
    if (!decision) throw new NonDeterministic(`${before}, the current code hasn't scheduled such a task`);
    const decidedName = "name" in decision ? decision.name : "";
    if (decision.kind !== kind || (event.Name && decidedName.toLowerCase() !== event.Name.toLowerCase())) {
      throw new NonDeterministic(`${before}, the current code schedules ${decision.kind} '${decidedName}'`);
    }
    pending.delete(event.EventId);
  }

  function apply(event: HistoryEvent): void {
    switch (event.EventType) {
      case EventType.OrchestratorStarted:
        now = Date.parse(event.Timestamp);
        return;
      case EventType.ExecutionStarted:
        run = drive(orchestration());
        return;
      case EventType.TaskScheduled:
        return match(event, "activity");
      case EventType.TimerCreated:
        return match(event, "timer");
      case EventType.SubOrchestrationInstanceCreated:
        return match(event, "subOrchestration");
      case EventType.TaskCompleted:
      case EventType.SubOrchestrationInstanceCompleted:
        return settle(event.TaskScheduledId, (future) => future.complete());
      case EventType.TaskFailed:
      case EventType.SubOrchestrationInstanceFailed:
        return settle(event.TaskScheduledId, (future) => future.fail(new TaskFailure(event)));
      case EventType.TimerFired:
        return settle(event.TimerId, (future) => future.complete());
      case EventType.EventRaised:
        return raise(event);
      default:
        return;
    }
  }

  function raise(event: HistoryEvent): void {
    if (continueWith) {
      unprocessed.push(event);
      return;
    }
    const key = (event.Name ?? "").toLowerCase();
    const latest = waiting.get(key)?.pop(); // the extension's waits of one name are a stack
    if (latest) latest.complete();
    else early.set(key, (early.get(key) ?? 0) + 1);
  }

  const failed = (reason: string, failureDetails?: FailureDetails): Outcome => ({
    decisions: [],
    completion: { status: "Failed", failure: { reason, failureDetails } },
    nextSequenceNumber,
  });
  try {
    for (const event of events) apply(event);
  } catch (error) {
    if (!(error instanceof NonDeterministic)) throw error;
    return failed(`Non-Deterministic workflow detected: ${error.message}`);
  }

  const going: Outcome = { decisions: [...pending.values()].toSorted((a, b) => a.id - b.id), nextSequenceNumber };
  if (run?.state === "failed") return failed((run.error as Error).message); // a name or action nobody knows: at once, where Azure hangs
  // DurableTask.Core completes no orchestration that has an open task, an uncancelled timer included.
  if (run?.state !== "completed" || open.size > 0) return going;
  if (state.error !== undefined) return failed(`Orchestrator function '${name}' failed: ${state.error}`, state.failureDetails);
  if (continueWith) return { ...going, completion: { status: "ContinuedAsNew", input: continueWith.input, unprocessed } };
  return { ...going, completion: { status: "Completed", result: toJson(state.output) } };
}

/** RetryInterceptor.cs: 0 stops retrying. @returns milliseconds */
function retryDelay(options: RetryOptions, attempt: number, elapsed: number): number {
  if (elapsed >= (options.retryTimeoutInMilliseconds ?? Number.POSITIVE_INFINITY)) return 0;
  const delay = options.firstRetryIntervalInMilliseconds * (options.backoffCoefficient ?? 1) ** (attempt - 1);
  return Math.min(delay, options.maxRetryIntervalInMilliseconds ?? LONGEST_TIMER);
}

class NonDeterministic extends Error {}

class UnknownFunction extends Error {
  constructor(kind: string, name: string) {
    super(`the function '${name}' doesn't exist, is disabled, or is not an ${kind} function`);
  }
}

class UnsupportedAction extends Error {
  constructor(actionType: number) {
    super(`this host doesn't model the durable action of type ${actionType} (entities and callHttp are left out)`);
  }
}

class TaskFailure extends Error {
  readonly failureDetails: FailureDetails | undefined;

  constructor(event: HistoryEvent) {
    super(event.Reason ?? "");
    this.failureDetails = event.FailureDetails;
  }
}

/** A promise whose callbacks run at once, because a replay has to be over when its events are. */
class Future {
  state: "open" | "completed" | "failed" = "open";
  error: unknown;
  private callbacks: (() => void)[] = [];

  complete(): void {
    this.settle("completed");
  }

  fail(error: unknown): void {
    this.error = error;
    this.settle("failed");
  }

  whenSettled(callback: () => void): void {
    if (this.state === "open") this.callbacks.push(callback);
    else callback();
  }

  private settle(state: "completed" | "failed"): void {
    if (this.state !== "open") return;
    this.state = state;
    const callbacks = this.callbacks;
    this.callbacks = [];
    for (const callback of callbacks) callback();
  }
}

type Steps = Generator<Future, void, void>;

/** Runs a generator whose steps wait for futures. */
function drive(steps: Steps): Future {
  const ended = new Future();
  const resume = (step: () => IteratorResult<Future, void>): void => {
    try {
      const { done, value } = step();
      if (done) ended.complete();
      else value.whenSettled(() => resume(() => (value.state === "completed" ? steps.next() : steps.throw(value.error))));
    } catch (error) {
      ended.fail(error);
    }
  };
  resume(() => steps.next());
  return ended;
}

function completed(): Future {
  const future = new Future();
  future.complete();
  return future;
}

function whenAny(futures: Future[]): Future {
  const any = new Future();
  for (const future of futures) future.whenSettled(() => any.complete());
  return any;
}

/** As .NET's Task.WhenAll: waits for every child, also after a failure, unlike the library's Task.all. */
function whenAll(futures: Future[]): Future {
  const all = new Future();
  let left = futures.length;
  if (left === 0) all.complete();
  for (const future of futures) {
    future.whenSettled(() => {
      left -= 1;
      if (left === 0) all.complete();
    });
  }
  return all;
}
