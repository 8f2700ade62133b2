/** One step of an entity: takes its messages, runs a batch of operations in one call, and writes all that follows from that. */

import { randomUUID } from "node:crypto";
import { entityNameIn, schedulerIdOf } from "./entity-messages.ts";
import type { EntityRequest, EntityResponse } from "./entity-messages.ts";
import type { FunctionTable } from "./function-table.ts";
import type { FunctionApp } from "./functions-core.ts";
import { EventType, historyEvent } from "./history.ts";
import { invoke, valueOf } from "./invocation.ts";
import type { Log } from "./log.ts";
import type { Effects } from "./orchestration-step.ts";
import type { Entity, Message, StoredMessage } from "./store.ts";

interface Player {
  app: FunctionApp;
  functions: FunctionTable;
  log: Log;
}

/** What the function gives back for a batch (EntityState.js of durable-functions). */
interface BatchResult {
  entityExists: boolean;
  entityState?: string | null;
  results: { isError: boolean; result?: string }[];
  signals: { target: { name: string; key: string }; name: string; input: string }[];
}

/** A second delivery is recognised for this long: `entityMessageReorderWindowInMinutes` of host.json has this default. */
const REMEMBERED_MILLISECONDS = 30 * 60 * 1000;

export const newEntity = (id: string): Entity => ({ id, exists: false, state: null, lockedBy: null, queue: [], changedAt: 0 });

/**
 * TaskEntityShim.cs: a batch is all operations up to the next request to lock. While an orchestration holds the entity, its
 * operations only; what others ask waits in the queue.
 * @returns what to write, in one transaction
 */
export async function playBatch(
  player: Player,
  entity: Entity,
  messages: StoredMessage[],
  isNew: (requestId: string) => boolean,
): Promise<(effects: Effects) => void> {
  let { lockedBy } = entity;
  const queue = [...entity.queue];
  const accepted: string[] = [];
  for (const { key, event } of messages) {
    const request = JSON.parse(event.Input ?? "{}") as EntityRequest;
    const identity = identityOf(event.Name ?? "", request);
    if (accepted.includes(identity) || !isNew(identity)) {
      player.log({ level: "debug", category: "Host.Durable", message: `${entity.id}: ${key} came again` });
      continue;
    }
    accepted.push(identity);
    if (event.Name !== "release") queue.push(request);
    else if (lockedBy === request.parent) lockedBy = null;
  }

  const batch: EntityRequest[] = [];
  let lock: EntityRequest | undefined;
  for (;;) {
    const next = queue.findIndex(({ parent }) => lockedBy === null || lockedBy === parent);
    const [request] = next < 0 || lock ? [] : queue.splice(next, 1);
    if (!request) break;
    if (request.lockset) lock = request;
    else batch.push(request);
  }
  if (lock) lockedBy = lock.parent ?? null;

  const result = batch.length === 0 ? undefined : await runBatch(player, entity, batch);
  return (effects) => {
    const { store, now, post, take } = effects;
    for (const message of messages) take(message);
    store.rememberRequests(entity.id, accepted, now, now - REMEMBERED_MILLISECONDS);
    const exists = result ? result.entityExists : entity.exists;
    const state = result ? (result.entityState ?? null) : entity.state;
    const next: Entity = { ...entity, exists, state, lockedBy, queue, changedAt: result ? now : entity.changedAt };
    if (exists || lockedBy !== null || queue.length > 0) store.saveEntity(next);
    else store.deleteEntity(entity.id);

    for (const [index, request] of batch.entries()) {
      const { isError, result: value } = result?.results[index] ?? { isError: true };
      const response = { ...(value === undefined ? {} : { result: value }), ...(isError ? { exceptionType: "Error" } : {}) };
      if (!request.signal) answer(post, request, response, now);
    }
    for (const { target, name, input } of result?.signals ?? []) {
      const request = { op: name, signal: true, id: randomUUID(), parent: entity.id, ...(input === "" ? {} : { input }) };
      post(requestMessage(schedulerIdOf(target), "op", request, now));
    }
    if (lock) passOn(post, lock, now);
  };
}

async function runBatch(
  { app, functions, log }: Player,
  { id, exists, state }: Entity,
  batch: EntityRequest[],
): Promise<BatchResult> {
  const self = entityNameIn(id);
  const entityFunction = functions.entity(self.name);
  if (!entityFunction) throw new Error(`${id}: the entity function '${self.name}' doesn't exist any more`);
  const operations = batch.map(({ id: requestId, op, signal, input }) => ({
    id: requestId,
    name: op,
    isSignal: signal ?? false,
    input,
  }));
  const trigger = { self, exists, state, batch: operations };
  const { returnValue } = await invoke(app, entityFunction, { string: JSON.stringify(trigger) });
  const result = valueOf(returnValue) as BatchResult;
  for (const [index, { isError }] of result.results.entries()) {
    if (!isError) continue;
    const message = `${id}: the operation '${batch[index]?.op}' failed`;
    log({ level: "error", category: `Function.${entityFunction.name}`, functionName: entityFunction.name, message });
  }
  return result;
}

/** With the execution: the library's guids depend on the instance and the time, which may be the same after continueAsNew. */
const identityOf = (name: string, { id, parentExecution = "" }: EntityRequest): string => `${name}:${parentExecution}:${id}`;

/** A message to an entity. */
export const requestMessage = (target: string, name: "op" | "release", request: EntityRequest, now: number): Message => ({
  instanceId: target,
  executionId: undefined,
  key: identityOf(name, request),
  visibleAt: now,
  event: historyEvent(EventType.EventRaised, now, { Name: name, Input: JSON.stringify(request) }),
});

function answer(post: Effects["post"], { id, parent, parentExecution }: EntityRequest, response: EntityResponse, now: number) {
  if (parent === undefined) return;
  post({
    instanceId: parent,
    executionId: parentExecution,
    key: `answer:${id}`,
    visibleAt: now,
    event: historyEvent(EventType.EventRaised, now, { Name: id, Input: JSON.stringify(response) }),
  });
}

/** To the next entity that the orchestration wants, or back to it when it has them all. */
function passOn(post: Effects["post"], lock: EntityRequest, now: number): void {
  const pos = (lock.pos ?? 0) + 1;
  const next = lock.lockset?.[pos];
  if (next) post(requestMessage(schedulerIdOf(next), "op", { ...lock, pos }, now));
  else answer(post, lock, { result: JSON.stringify("Lock Acquisition Completed") }, now);
}
