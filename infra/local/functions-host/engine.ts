/** The durable engine: takes messages to orchestrations and activities, and commits each step of an instance in one transaction. */

import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createActivities } from "./activities.ts";
import type { HostClock, Timer } from "./clock.ts";
import type { EntityName } from "./actions.ts";
import { newEntity, playBatch, requestMessage } from "./entities.ts";
import { isSchedulerId, schedulerIdOf } from "./entity-messages.ts";
import { createFunctionTable } from "./function-table.ts";
import type { FunctionApp } from "./functions-core.ts";
import { EventType, historyEvent, resultKey, toJson } from "./history.ts";
import type { HistoryEvent } from "./history.ts";
import type { Log } from "./log.ts";
import { createInstance, fail, finished, playEpisode, terminate } from "./orchestration-step.ts";
import type { Effects, Step } from "./orchestration-step.ts";
import { rewind } from "./rewind.ts";
import type { ActivityTask, DurableStore, Entity, Instance, InstanceFilter, Message, StoredMessage } from "./store.ts";
import { versionMismatch } from "./versions.ts";
import type { Versioning } from "./versions.ts";

export interface EngineOptions extends Versioning {
  app: FunctionApp;
  store: DurableStore;
  clock: HostClock;
  log: Log;
  /** host.json's `maxConcurrentActivityFunctions`. */
  maxConcurrentActivities: number;
  /** Milliseconds for which the history of a finished instance is kept; by default for as long as the instance. */
  historyRetention?: number | undefined;
  /** Runs every activity twice and delivers every result, event and timer twice, as Azure may. */
  chaos?: boolean | undefined;
}

export interface StartOptions {
  instanceId?: string | undefined;
  /** Plain JSON. */
  input?: unknown;
  version?: string | undefined;
}

export type Engine = ReturnType<typeof createEngine>;

/** The asked can't be done; `status` is what the extension's HTTP API answers. */
export class DurableRefusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = "DurableRefusal";
    this.status = status;
  }
}

/** After an error of the state file: milliseconds until the step is tried again. */
const RETRY_DELAY = 1000;

export function createEngine({
  app,
  store,
  clock,
  log,
  maxConcurrentActivities,
  historyRetention,
  chaos = false,
  ...versioning
}: EngineOptions) {
  const { defaultVersion, versionFailureStrategy } = versioning;
  const functions = createFunctionTable(app);
  const activities = createActivities({
    app,
    functions,
    clock,
    log,
    concurrency: maxConcurrentActivities,
    twice: chaos,
    completed: completeActivity,
  });
  const ready = new Set<string>();
  const finishers = new Map<string, Set<(instance: Instance) => void>>();
  let working: Promise<void> | undefined;
  let alarm: (Timer & { at: number }) | undefined;
  /** Messages visible until here have been taken to their instances. */
  let deliveredUntil = -1;
  let stopped = false;
  let closed = false;

  // Messages and time

  /** Runs `work` in a transaction, and when that is committed sets going what it has put in motion. */
  function commit<Result>(work: (effects: Effects) => Result): Result {
    const messages: Message[] = [];
    const tasks: ActivityTask[] = [];
    const ended: Instance[] = [];
    const now = clock.now();
    const post = (message: Message): void => {
      store.addMessage(message);
      messages.push(message);
    };
    const result = store.transaction(() =>
      work({
        store,
        defaultVersion,
        historyRetention,
        now,
        post,
        take: (message) => {
          store.deleteMessage(message.sequence);
          // In a step of its own, so that the second delivery comes when the first has had its effect.
          if (chaos && mayComeTwice(message)) post({ ...message, key: `${message.key}${SECOND_DELIVERY}`, visibleAt: now });
        },
        run: (task) => {
          store.addActivity(task);
          tasks.push(task);
        },
        end: (instance) => ended.push(instance),
      }),
    );
    for (const { instanceId, visibleAt } of messages) {
      if (visibleAt <= clock.now()) wake(instanceId);
      else setAlarm(visibleAt);
    }
    activities.add(tasks);
    for (const instance of ended) {
      for (const finish of finishers.get(instance.id) ?? []) finish(instance);
      finishers.delete(instance.id);
    }
    return result;
  }

  function setAlarm(at: number): void {
    if (stopped || (alarm && alarm.at <= at)) return;
    alarm?.cancel();
    alarm = { at, ...clock.setTimer(at, deliver) };
  }

  /** Wakes the instances whose messages have become visible, and sets the alarm for the next. */
  function deliver(): void {
    alarm = undefined;
    if (stopped) return;
    const now = clock.now();
    for (const id of store.listReceivers(deliveredUntil, now)) wake(id);
    deliveredUntil = now;
    const next = store.nextVisibleAt(now);
    if (next !== undefined) setAlarm(next);
  }

  function wake(instanceId: string): void {
    ready.add(instanceId);
    if (!stopped) working ??= work();
  }

  /** Instances take their steps one after another: an orchestrator only computes, so nothing would be won by more at a time. */
  async function work(): Promise<void> {
    const release = clock.hold();
    try {
      for (;;) {
        await nextTurn(); // what arrives in the same turn is consumed in the same step
        const [instanceId] = ready;
        if (stopped || instanceId === undefined) return;
        ready.delete(instanceId);
        await step(instanceId).catch((error: unknown) => retryLater(instanceId, error));
      }
    } finally {
      working = undefined;
      release();
    }
  }

  function retryLater(instanceId: string, error: unknown): void {
    log({
      level: "critical",
      category: "Host.Durable",
      message: `${instanceId}: ${error instanceof Error ? error.stack : String(error)}`,
    });
    clock.setTimer(clock.now() + RETRY_DELAY, () => wake(instanceId));
  }

  // Steps

  async function step(instanceId: string): Promise<void> {
    if (isSchedulerId(instanceId)) return stepOfEntity(instanceId);
    const instance = store.getInstance(instanceId);
    const messages = store.getMessages(instanceId, clock.now());
    if (!instance || messages.length === 0) return;
    if (finished(instance)) return commit(() => store.deleteMessages(instanceId));

    const termination = messages.find(({ event }) => event.EventType === EventType.ExecutionTerminated);
    if (termination) return commit((effects) => terminate(effects, instance, termination.event.Input ?? null));

    const mismatch = versionMismatch(versioning, instance.version);
    if (mismatch !== undefined) return refuseVersion(instance, mismatch);

    const history = store.getHistory(instanceId);
    const next = consume(instance, history, messages);
    if (next.events.length === 0) {
      return commit((effects) => {
        for (const message of next.consumed) effects.take(message);
        store.saveInstance({ ...next.instance, updatedAt: effects.now });
      });
    }
    const write = await playEpisode({ app, functions, log, now: clock.now() }, next);
    if (closed) return;
    commit((effects) => {
      // Purged, or begun anew under the same id, while the orchestrator ran: the step belongs to nobody.
      if (store.getInstance(instanceId)?.executionId === instance.executionId) write(effects);
    });
  }

  /** Left alone, it waits for a host that may go on with it. */
  function refuseVersion(instance: Instance, reason: string): void {
    log({ level: "warning", category: "Host.Durable", message: `${instance.id}: ${reason}` });
    if (versionFailureStrategy === "Fail") commit((effects) => fail(effects, instance, reason));
  }

  async function stepOfEntity(id: string): Promise<void> {
    const messages = store.getMessages(id, clock.now());
    if (messages.length === 0) return;
    const isNew = (requestId: string): boolean => !store.hasRequest(id, requestId);
    const write = await playBatch({ app, functions, log }, store.getEntity(id) ?? newEntity(id), messages, isNew);
    if (!closed) commit(write);
  }

  function completeActivity(task: ActivityTask, event: HistoryEvent): void {
    if (closed) return;
    const { instanceId, executionId, taskId } = task;
    commit(({ post, now }) => {
      if (!store.deleteActivity(task)) return;
      post({ instanceId, executionId, key: `activity:${executionId}:${taskId}`, visibleAt: now, event });
    });
  }

  const knows = (kind: "activity" | "orchestrator" | "entity", name: string): boolean => functions[kind](name) !== undefined;

  /** Sends an event from outside to whichever execution of the instance is running. */
  function send(instanceId: string, type: EventType, fields: Partial<HistoryEvent>): void {
    const instance = store.getInstance(instanceId);
    if (!instance) throw new DurableRefusal(404, `no instance '${instanceId}'`);
    if (finished(instance)) throw new DurableRefusal(410, `instance '${instanceId}' is ${instance.status}`);
    commit(({ post, now }) => {
      const event = historyEvent(type, now, fields);
      post({ instanceId, executionId: undefined, key: `sent:${randomUUID()}`, visibleAt: now, event });
    });
  }

  return {
    knows,
    getInstance: store.getInstance,
    getHistory: store.getHistory,
    listInstances: (filter: InstanceFilter): Instance[] => store.listInstances(filter),

    /** Goes on with everything that was unfinished when the state file was last closed, or its process killed. */
    begin(): void {
      activities.add(store.listActivities());
      deliver();
    },

    /** @returns the instance's id */
    start(name: string, { instanceId = randomUUID().replaceAll("-", ""), input, version }: StartOptions = {}): string {
      if (!knows("orchestrator", name)) throw new DurableRefusal(400, `there is no orchestrator function '${name}'`);
      refuseBadId(instanceId);
      commit((effects) => {
        const existing = store.getInstance(instanceId);
        if (existing && !finished(existing)) {
          throw new DurableRefusal(409, `An Orchestration instance with the status ${existing.status} already exists.`);
        }
        createInstance(effects, { id: instanceId, name, version, input: toJson(input), parent: undefined });
      });
      return instanceId;
    },

    /** @param data plain JSON */
    raiseEvent: (instanceId: string, name: string, data: unknown): void =>
      send(instanceId, EventType.EventRaised, { Name: name, Input: JSON.stringify(data ?? null) }),
    /** An entity that exists. */
    getEntity(name: EntityName): Entity | undefined {
      const entity = store.getEntity(schedulerIdOf(name));
      return entity?.exists ? entity : undefined;
    },
    listEntities: (idPrefix: string, afterId: string, limit: number): Entity[] =>
      store.listEntities(idPrefix, afterId, limit).filter(({ exists }) => exists),
    /** @param input JSON text */
    signalEntity(entity: EntityName, operation: string, input: string | undefined): void {
      if (!knows("entity", entity.name)) throw new DurableRefusal(400, `there is no entity function '${entity.name}'`);
      const request = { op: operation, signal: true, id: randomUUID(), ...(input === undefined ? {} : { input }) };
      commit(({ post, now }) => post(requestMessage(schedulerIdOf(entity), "op", request, now)));
    },

    /** Its sub-orchestrations go on, as in Azure. */
    terminate: (instanceId: string, reason: string | null): void =>
      send(instanceId, EventType.ExecutionTerminated, { Input: reason }),
    suspend: (instanceId: string, reason: string | null): void =>
      send(instanceId, EventType.ExecutionSuspended, { Reason: reason }),
    resume: (instanceId: string, reason: string | null): void => send(instanceId, EventType.ExecutionResumed, { Reason: reason }),

    /** Does again what has failed in an orchestration that failed. */
    rewind(instanceId: string, reason: string | null): void {
      const instance = store.getInstance(instanceId);
      if (!instance) throw new DurableRefusal(404, `no instance '${instanceId}'`);
      if (instance.status !== "Failed")
        throw new DurableRefusal(412, "The rewind operation is only supported on failed orchestration instances.");
      commit((effects) => rewind(effects, instance, reason));
    },

    /** Forgets an instance. @returns false if there is none */
    purge(instanceId: string): boolean {
      const known = store.getInstance(instanceId) !== undefined;
      commit(() => store.deleteInstance(instanceId));
      store.shrink();
      return known;
    },

    /** The instance when it has completed, failed or been terminated. */
    async whenFinished(instanceId: string): Promise<Instance> {
      const instance = store.getInstance(instanceId);
      if (!instance) throw new DurableRefusal(404, `no instance '${instanceId}'`);
      if (finished(instance)) return instance;
      return new Promise((resolve) => {
        const waiting = finishers.get(instanceId) ?? new Set();
        finishers.set(instanceId, waiting.add(resolve));
      });
    },

    /** Begins nothing more; resolves when the step and the activities that run have ended and are committed. */
    async stop(): Promise<void> {
      stopped = true;
      alarm?.cancel();
      await Promise.all([working, activities.stop()]);
    },

    /** What still runs after this is lost, and begins again with the next host. */
    close(): void {
      stopped = true;
      closed = true;
      alarm?.cancel();
      store.close();
    },
  };
}

const SECOND_DELIVERY = ":again";

/** Azure's queues deliver at least once: results and timers are recognised then, events from outside aren't. */
const mayComeTwice = ({ key, event: { EventType: type } }: StoredMessage): boolean =>
  !key.endsWith(SECOND_DELIVERY) && type !== EventType.ExecutionSuspended && type !== EventType.ExecutionResumed;

/** Sorts an instance's messages into what it consumes now, and the events among them that it hasn't seen. */
function consume(instance: Instance, history: HistoryEvent[], messages: StoredMessage[]): Step {
  const control = messages.filter(
    ({ event: { EventType: type } }) => type === EventType.ExecutionSuspended || type === EventType.ExecutionResumed,
  );
  const last = control.at(-1)?.event.EventType;
  let { status } = instance;
  if (last === EventType.ExecutionSuspended) status = "Suspended";
  if (last === EventType.ExecutionResumed && status === "Suspended") status = "Running";
  const changed = { ...instance, status };
  if (status === "Suspended") return { instance: changed, history, consumed: control, events: [] };

  // Results of another execution and second deliveries are dropped, as DurableTask.Core does.
  const settled = new Set(history.map(resultKey));
  const events: HistoryEvent[] = [];
  for (const { executionId, event } of messages) {
    if (control.some((message) => message.event === event)) continue;
    if (executionId !== undefined && executionId !== instance.executionId) continue;
    const key = resultKey(event);
    if (key !== undefined && settled.has(key)) continue;
    settled.add(key);
    events.push(event);
  }
  // Events that an earlier execution has left over were sent before the start of this one.
  const order = ({ EventType: type }: HistoryEvent): number => (type === EventType.ExecutionStarted ? 0 : 1);
  return { instance: changed, history, consumed: messages, events: events.toSorted((a, b) => order(a) - order(b)) };
}

/** The extension's rules for instance ids (DurableOrchestrationClient.cs). */
function refuseBadId(instanceId: string): void {
  if (instanceId.startsWith("@")) throw new DurableRefusal(400, "Orchestration instance ids must not start with @.");
  if (/[/\\#?\p{Cc}]/u.test(instanceId)) {
    throw new DurableRefusal(400, "Orchestration instance ids must not contain /, \\, #, ?, or control characters.");
  }
  if (instanceId.length > 100) throw new DurableRefusal(400, "Instance ID lengths must not exceed 100 characters.");
}
