/** One step of an orchestration: plays it with its new events, and writes all that follows from that. */

import { randomUUID } from "node:crypto";
import { requestMessage } from "./entities.ts";
import type { EntityRequest } from "./entity-messages.ts";
import type { FunctionTable } from "./function-table.ts";
import type { FunctionApp } from "./functions-core.ts";
import { EventType, historyEvent } from "./history.ts";
import type { HistoryEvent } from "./history.ts";
import type { Log } from "./log.ts";
import { callOrchestrator } from "./orchestrator-call.ts";
import type { Answer } from "./orchestrator-call.ts";
import { replay } from "./replay.ts";
import type { Completion, Decision, Failure, Outcome } from "./replay.ts";
import type { ActivityTask, DurableStore, Instance, Message, StoredMessage } from "./store.ts";

/** What a step may do inside its transaction. */
export interface Effects {
  store: DurableStore;
  /** Milliseconds since 1970. */
  now: number;
  defaultVersion: string | undefined;
  /** Milliseconds for which the history of a finished instance is kept; undefined for as long as the instance. */
  historyRetention: number | undefined;
  post: (message: Message) => void;
  /** Takes a message out of the inbox. */
  take: (message: StoredMessage) => void;
  run: (task: ActivityTask) => void;
  /** Says that an instance has finished. */
  end: (instance: Instance) => void;
}

export interface Step {
  instance: Instance;
  history: HistoryEvent[];
  /** Taken out of the inbox by this step. */
  consumed: StoredMessage[];
  /** New to the orchestration. */
  events: HistoryEvent[];
}

interface Player {
  app: FunctionApp;
  functions: FunctionTable;
  log: Log;
  /** Milliseconds since 1970. */
  now: number;
}

const FINISHED = new Set(["Completed", "Failed", "Terminated"]);

export const finished = ({ status }: Instance): boolean => FINISHED.has(status);

/** @returns what to write, in one transaction */
export async function playEpisode({ app, functions, log, now }: Player, step: Step): Promise<(effects: Effects) => void> {
  const { instance, history } = step;
  const events = [historyEvent(EventType.OrchestratorStarted, now), ...step.events];
  const orchestrator = functions.orchestrator(instance.name);
  const answer: Answer = orchestrator
    ? await callOrchestrator(app, orchestrator, instance, history, events)
    : { broken: `The function '${instance.name}' doesn't exist, is disabled, or is not an orchestrator function.` };
  const outcome: Outcome =
    "broken" in answer
      ? { decisions: [], completion: { status: "Failed", failure: { reason: answer.broken } }, nextSequenceNumber: 0 }
      : replay({
          instanceId: instance.id,
          executionId: instance.executionId,
          name: instance.name,
          state: answer.state,
          events: [...history, ...events],
          knows: (kind, name) => functions[kind](name) !== undefined,
        });
  if ("state" in answer) warnOfDivergence(log, instance, answer, outcome);
  const customStatus =
    "state" in answer && answer.state.customStatus !== undefined ? JSON.stringify(answer.state.customStatus) : null;
  const next: Step = { ...step, instance: { ...instance, status: "Running", customStatus, updatedAt: now }, events };
  if (outcome.completion?.status === "Failed") {
    log({
      level: "error",
      category: `Function.${instance.name}`,
      functionName: instance.name,
      message: `${instance.id}: ${outcome.completion.failure.reason}`,
    });
  }
  return (effects) => write(effects, next, outcome);
}

/** A new instance with its first message; one that was there under the same id is forgotten. */
export function createInstance(
  { store, now, post, defaultVersion }: Effects,
  { id, name, version = defaultVersion, input, parent }: Pick<Instance, "id" | "name" | "version" | "input" | "parent">,
): void {
  store.deleteInstance(id);
  const executionId = randomUUID().replaceAll("-", "");
  const fresh = { status: "Pending", output: null, customStatus: null, createdAt: now, updatedAt: now } as const;
  const instance: Instance = { id, executionId, name, version, input, parent, ...fresh };
  store.saveInstance(instance);
  post(startMessage(instance, now));
}

export function terminate(effects: Effects, instance: Instance, reason: string | null): void {
  const output = reason === null ? null : JSON.stringify(reason);
  finish(effects, { ...instance, status: "Terminated", output, updatedAt: effects.now }, { reason: reason ?? "Terminated" });
}

export function fail(effects: Effects, instance: Instance, reason: string): void {
  finish(effects, { ...instance, status: "Failed", output: JSON.stringify(reason), updatedAt: effects.now }, { reason });
}

function write(effects: Effects, step: Step, { decisions, completion }: Outcome): void {
  const { store, now } = effects;
  const { instance, history, consumed, events } = step;
  if (completion?.status === "ContinuedAsNew") {
    for (const decision of decisions) carryOut(effects, instance, decision);
    return continueAsNew(effects, step, completion);
  }
  for (const message of consumed) effects.take(message);
  const scheduled = decisions.map((decision) => scheduledEvent(decision, now));
  const ending = completion ? [completedEvent(completion, now)] : [];
  const completed = historyEvent(EventType.OrchestratorCompleted, now);
  store.appendHistory(instance.id, history.length, [...events, ...scheduled, ...ending, completed]);
  for (const decision of decisions) carryOut(effects, instance, decision);
  if (completion?.status === "Completed") return finish(effects, { ...instance, status: "Completed", output: completion.result });
  if (completion?.status === "Failed") {
    const { failure } = completion;
    return finish(effects, { ...instance, status: "Failed", output: JSON.stringify(failure.reason) }, failure);
  }
  store.saveInstance(instance);
}

function carryOut(effects: Effects, { id: instanceId, executionId }: Instance, decision: Decision): void {
  const { store, now, post, run } = effects;
  if (decision.kind === "activity") {
    run({ instanceId, executionId, taskId: decision.id, name: decision.name, input: decision.input });
    return;
  }
  if (decision.kind === "message") {
    post(requestMessage(decision.target, decision.name, JSON.parse(decision.input) as EntityRequest, now));
    return;
  }
  if (decision.kind === "timer") {
    const event = historyEvent(EventType.TimerFired, decision.fireAt, {
      TimerId: decision.id,
      FireAt: new Date(decision.fireAt).toISOString(),
    });
    post({ instanceId, executionId, key: `timer:${executionId}:${decision.id}`, visibleAt: decision.fireAt, event });
    return;
  }
  const existing = store.getInstance(decision.instanceId);
  const parent = { id: instanceId, executionId, taskId: decision.id };
  if (existing && !finished(existing)) {
    const reason = `An Orchestration instance with the status ${existing.status} already exists.`;
    post(subOrchestrationEnded(parent, now, { status: "Failed", failure: { reason } }));
    return;
  }
  createInstance(effects, {
    id: decision.instanceId,
    name: decision.name,
    version: decision.version,
    input: decision.input,
    parent,
  });
}

function finish(effects: Effects, instance: Instance, failure?: Failure): void {
  const { store, now, post, end, historyRetention } = effects;
  store.saveInstance(instance);
  store.deleteMessages(instance.id);
  store.deleteActivities(instance.id);
  store.compactHistory(instance.id, now);
  if (historyRetention !== undefined) store.dropHistories(now - historyRetention);
  const { parent } = instance;
  if (parent && store.getInstance(parent.id)?.executionId === parent.executionId) {
    post(
      subOrchestrationEnded(
        parent,
        now,
        failure ? { status: "Failed", failure } : { status: "Completed", result: instance.output },
      ),
    );
  }
  end(instance);
}

/** A new execution of the same instance, with an empty history. */
function continueAsNew(
  effects: Effects,
  { instance, consumed }: Step,
  { input, unprocessed }: Completion & { status: "ContinuedAsNew" },
): void {
  const { store, now, post, take } = effects;
  const next: Instance = { ...instance, executionId: randomUUID().replaceAll("-", ""), input };
  store.deleteHistory(instance.id);
  store.deleteActivities(instance.id);
  store.deleteMessagesOfExecution(instance.id, instance.executionId);
  for (const message of consumed) if (!unprocessed.includes(message.event)) take(message);
  store.saveInstance(next);
  post(startMessage(next, now));
}

function startMessage({ id, executionId, name, version, input, parent }: Instance, now: number): Message {
  const event = historyEvent(EventType.ExecutionStarted, now, {
    Name: name,
    Version: version ?? "",
    Input: input,
    OrchestrationInstance: { InstanceId: id, ExecutionId: executionId },
    ParentInstance: parent
      ? { TaskScheduleId: parent.taskId, OrchestrationInstance: { InstanceId: parent.id, ExecutionId: parent.executionId } }
      : null,
  });
  return { instanceId: id, executionId, key: `start:${executionId}`, visibleAt: now, event };
}

type Ending = Exclude<Completion, { status: "ContinuedAsNew" }>;

function subOrchestrationEnded(
  { id, executionId, taskId }: NonNullable<Instance["parent"]>,
  now: number,
  ending: Ending,
): Message {
  const event =
    ending.status === "Completed"
      ? historyEvent(EventType.SubOrchestrationInstanceCompleted, now, { TaskScheduledId: taskId, Result: ending.result })
      : historyEvent(EventType.SubOrchestrationInstanceFailed, now, {
          TaskScheduledId: taskId,
          Reason: ending.failure.reason,
          Details: "",
          ...(ending.failure.failureDetails ? { FailureDetails: ending.failure.failureDetails } : {}),
        });
  return { instanceId: id, executionId, key: `subOrchestration:${executionId}:${taskId}`, visibleAt: now, event };
}

function scheduledEvent(decision: Decision, now: number): HistoryEvent {
  const EventId = decision.id;
  if (decision.kind === "timer")
    return historyEvent(EventType.TimerCreated, now, { EventId, FireAt: new Date(decision.fireAt).toISOString() });
  if (decision.kind === "message") {
    const { target, name, input } = decision;
    return historyEvent(EventType.EventSent, now, { EventId, InstanceId: target, Name: name, Input: input });
  }
  const { name: Name, input: Input } = decision;
  if (decision.kind === "activity") return historyEvent(EventType.TaskScheduled, now, { EventId, Name, Version: "", Input });
  const InstanceId = decision.instanceId;
  return historyEvent(EventType.SubOrchestrationInstanceCreated, now, {
    EventId,
    Name,
    Version: decision.version ?? "",
    Input,
    InstanceId,
  });
}

const completedEvent = (ending: Ending, now: number): HistoryEvent =>
  historyEvent(EventType.ExecutionCompleted, now, {
    OrchestrationStatus: ending.status,
    Result: ending.status === "Completed" ? ending.result : JSON.stringify(ending.failure.reason),
  });

/**
 * The library's Task.all fails at the first error and goes on; the extension's waits for every child. A timer of more than six days
 * is made of short ones: when it is cancelled the extension makes no further ones, the library does. If the two then count
 * differently, a later task gets another's result.
 */
function warnOfDivergence(
  log: Log,
  { id, name }: Instance,
  answer: { state: { isDone: boolean }; sequenceNumber: number | undefined },
  outcome: Outcome,
): void {
  if (answer.state.isDone || outcome.completion || (answer.sequenceNumber ?? 0) <= outcome.nextSequenceNumber) return;
  log({
    level: "warning",
    category: `Function.${name}`,
    functionName: name,
    message:
      `${id}: the orchestrator has gone on (task ${answer.sequenceNumber}) after an error in a Task.all whose other tasks are still open, ` +
      `or after cancelling a timer of more than six days (the host is at ${outcome.nextSequenceNumber}); results can be mixed up. ` +
      "Let activities in a fan-out return errors, and long waits be made of shorter ones.",
  });
}
