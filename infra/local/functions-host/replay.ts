/** Walks the actions of an orchestrator over its history by DurableTask.Core's rules, and says what is new. */

import { createHash } from "node:crypto";
import type {
  Action,
  ActivityCall,
  EntityName,
  HttpCall,
  OrchestratorState,
  RetryOptions,
  SubOrchestrationCall,
} from "./actions.ts";
import { entityNameIn, schedulerIdOf } from "./entity-messages.ts";
import type { EntityRequest } from "./entity-messages.ts";
import { completed, drive, Future, whenAll, whenAny } from "./future.ts";
import type { Steps } from "./future.ts";
import { EventType, toJson } from "./history.ts";
import type { FailureDetails, HistoryEvent } from "./history.ts";
import { HTTP_ACTIVITY, HTTP_POLLING_INTERVAL, pollingRequest, responseIn } from "./http-activity.ts";

/** Something to do that the history doesn't have yet; `id` is its sequence number. */
export type Decision =
  | { kind: "activity"; id: number; name: string; input: string }
  | { kind: "timer"; id: number; fireAt: number }
  | { kind: "message"; id: number; name: "op" | "release"; target: string; input: string }
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
  instanceId: string;
  executionId: string;
  /** The orchestrator function's name. */
  name: string;
  state: OrchestratorState;
  /** Old events, then the new ones. */
  events: HistoryEvent[];
  knows: (kind: "activity" | "orchestrator" | "entity", functionName: string) => boolean;
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
export function replay({ instanceId, executionId, name, state, events, knows }: Episode): Outcome {
  let now = 0;
  let nextSequenceNumber = 0;
  let continueWith: { input: string | null } | undefined;
  let run: Future | undefined;
  let held: { entities: string[]; requestId: string } | undefined;
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

  /** Its polls take the numbers that the library gives them (CallHttpWithPollingTask.js). */
  function* callHttp(request: HttpCall): Steps {
    const call = (asked: HttpCall): Future => schedule({ kind: "activity", name: HTTP_ACTIVITY, input: JSON.stringify([asked]) });
    let response = responseIn(yield call(request));
    while (request.asynchronousPatternEnabled && response.statusCode === 202 && response.location !== undefined) {
      const delay = response.retryAfterInSeconds === undefined ? HTTP_POLLING_INTERVAL : response.retryAfterInSeconds * 1000;
      yield drive(createTimer(now + delay, false));
      response = responseIn(yield call(pollingRequest(request, response.location)));
    }
  }

  /** Messages are sent and not waited for: they take a number, but don't keep the orchestration from completing. */
  function send(target: string, name: "op" | "release", request: EntityRequest): void {
    const id = nextSequenceNumber++;
    pending.set(id, { kind: "message", id, name, target, input: JSON.stringify(request) });
  }

  function sendOperation(target: string, operation: string, input: unknown, signal: boolean): string {
    mustKnow("entity", entityNameIn(target).name);
    const id = guidOf(`${executionId}:${nextSequenceNumber}`);
    const json = toJson(input);
    const request = { op: operation, id, ...(json === null ? {} : { input: json }), ...(signal ? { signal } : {}) };
    send(target, "op", { ...request, parent: instanceId, parentExecution: executionId });
    return id;
  }

  /** The first entity hands the request on to the next when it is locked, and the last one answers. */
  function lock(lockSet: EntityName[], requestId: string): Future {
    const entities = lockSet.map(schedulerIdOf);
    for (const { name: entity } of lockSet) mustKnow("entity", entity);
    held = { entities, requestId };
    const request = { op: null, id: requestId, lockset: lockSet, pos: 0, parent: instanceId, parentExecution: executionId };
    send(entities[0] ?? "", "op", request);
    return waitForExternalEvent(requestId);
  }

  function release(): void {
    for (const entity of held?.entities ?? [])
      send(entity, "release", { id: held?.requestId ?? "", parent: instanceId, parentExecution: executionId });
    held = undefined;
  }

  function mustKnow(kind: "activity" | "orchestrator" | "entity", functionName: string): void {
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
      case 7:
        return waitForExternalEvent(sendOperation(action.instanceId, action.operation, action.input, false));
      case 8:
        return drive(callHttp(action.httpRequest));
      case 9:
        sendOperation(action.instanceId, action.operation, action.input, true);
        return completed();
      case 13:
        return lock(action.lockSet, action.lockRequestId);
      case 14:
        release();
        return completed();
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
    release(); // as the extension does for an orchestration that ends inside of a critical section
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
    const name = kind === "message" ? `${event.Name} to ${event.InstanceId}` : (event.Name ?? "");
    const before = `a previous execution scheduled ${kind} '${name}' as task ${event.EventId}`;
    if (!decision) throw new NonDeterministic(`${before}, the current code hasn't scheduled such a task`);
    const decided = nameOf(decision);
    if (decision.kind !== kind || decided.toLowerCase() !== name.toLowerCase())
      throw new NonDeterministic(`${before}, the current code schedules ${decision.kind} '${decided}'`);
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
      case EventType.EventSent:
        return match(event, "message");
      case EventType.TaskCompleted:
      case EventType.SubOrchestrationInstanceCompleted:
        return settle(event.TaskScheduledId, (future) => future.complete(event.Result));
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

  const failed = (reason: string): Outcome => ({
    decisions: [],
    completion: { status: "Failed", failure: { reason } },
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
  if (state.error !== undefined) {
    const failure = { reason: `Orchestrator function '${name}' failed: ${state.error}`, failureDetails: state.failureDetails };
    return { ...going, completion: { status: "Failed", failure } };
  }
  if (continueWith) return { ...going, completion: { status: "ContinuedAsNew", input: continueWith.input, unprocessed } };
  return { ...going, completion: { status: "Completed", result: toJson(state.output) } };
}

/** RetryInterceptor.cs: 0 stops retrying. @returns milliseconds */
function retryDelay(options: RetryOptions, attempt: number, elapsed: number): number {
  if (elapsed >= (options.retryTimeoutInMilliseconds ?? Number.POSITIVE_INFINITY)) return 0;
  const delay = options.firstRetryIntervalInMilliseconds * (options.backoffCoefficient ?? 1) ** (attempt - 1);
  return Math.min(delay, options.maxRetryIntervalInMilliseconds ?? LONGEST_TIMER);
}

/** The same guid in every replay. */
function guidOf(seed: string): string {
  const digits = createHash("sha256").update(seed).digest("hex");
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20, 32)].join("-");
}

function nameOf(decision: Decision): string {
  if (decision.kind === "timer") return "";
  return decision.kind === "message" ? `${decision.name} to ${decision.target}` : decision.name;
}

class NonDeterministic extends Error {}

class UnknownFunction extends Error {
  constructor(kind: string, name: string) {
    super(`the function '${name}' doesn't exist, is disabled, or is not an ${kind} function`);
  }
}

class UnsupportedAction extends Error {
  constructor(actionType: number) {
    super(`this host doesn't model the durable action of type ${actionType}`);
  }
}

class TaskFailure extends Error {
  readonly failureDetails: FailureDetails | undefined;

  constructor(event: HistoryEvent) {
    super(event.Reason ?? "");
    this.failureDetails = event.FailureDetails;
  }
}
