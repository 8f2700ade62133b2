/** `{entity}/$management`: requests that are no deliveries (Microsoft, "AMQP 1.0 in Azure Service Bus: request-response-based operations"). */
import type { Entity } from "../broker.ts";
import type { Right } from "../options.ts";
import type { Queue } from "../queue.ts";
import { Refusal } from "../refusal.ts";
import type { Rules } from "../rules.ts";
import type { SessionLock, Sessions } from "../sessions.ts";
import type { Topic } from "../topic.ts";
import { encodeMessage } from "./consumers.ts";
import { decodeContent } from "./content.ts";
import type { Request } from "./rhea.ts";
import { encodeRule, parseRule } from "./rule-descriptions.ts";
import { array, list, longBytes, numberOf, numbersOf, TYPE_CODE, types, uuidBytes, uuidsOf } from "./values.ts";

export interface Answer {
  status: number;
  body?: Record<string, unknown>;
}

type Body = Record<string, unknown>;

interface Call {
  entity: Entity;
  body: Body;
  /** Name of the link by which the client receives, where it has one. */
  link: string | undefined;
  checkSize(bytes: Buffer): void;
}

interface Operation {
  /** Any of these is enough. */
  rights: Right[];
  run(call: Call): Answer;
}

/** @throws Refusal */
export function manage(
  entity: Entity,
  { application_properties: properties = {}, body }: Request,
  { checkSize, require }: { checkSize: (bytes: Buffer) => void; require: (rights: Right[]) => void },
): Answer {
  const requested = properties["operation"];
  const name = typeof requested === "string" ? requested.replace("com.microsoft:", "") : "";
  const operation = operations[name];
  if (!operation) throw new Refusal("amqp:not-implemented", `Unknown operation '${name}'.`);
  require(operation.rights);
  const link = properties["associated-link-name"];
  return operation.run({ entity, body: (body ?? {}) as Body, link: typeof link === "string" ? link : undefined, checkSize });
}

const sending = (run: (target: Queue | Topic, call: Call) => Answer): Operation => ({
  rights: ["Send"],
  run: (call) => run(targetOf(call.entity), call),
});

const receiving = (run: (queue: Queue, body: Body, call: Call) => Answer): Operation => ({
  rights: ["Listen"],
  run: (call) => run(queueOf(call.entity), call.body, call),
});

const inSession = (run: (sessions: Sessions, lock: SessionLock, call: Call) => Answer): Operation =>
  receiving((queue, body, call) => {
    const sessions = sessionsOf(queue);
    return run(sessions, sessions.heldBy(String(body["session-id"]), call.link), call);
  });

const withRules = (rights: Right[], run: (rules: Rules, body: Body) => Answer): Operation => ({
  rights,
  run({ entity, body }) {
    if (entity.kind !== "subscription")
      throw new Refusal("amqp:not-allowed", `'${entity.name}' is no subscription: it has no rules.`);
    return run(entity.rules, body);
  },
});

const operations: Record<string, Operation> = {
  "schedule-message": sending((target, { body, checkSize }) => {
    const encoded = (body["messages"] as { message: Buffer }[]).map(({ message }) => message);
    for (const bytes of encoded) checkSize(bytes);
    const sequences = target.send(encoded.map(decodeContent));
    return { status: 200, body: { "sequence-numbers": array(sequences.map(longBytes), TYPE_CODE.long) } };
  }),

  "cancel-scheduled-message": sending((target, { body }) => {
    target.cancelScheduled(numbersOf(body["sequence-numbers"]));
    return { status: 200 };
  }),

  "renew-lock": receiving((queue, { "lock-tokens": tokens }) => {
    const expirations = uuidsOf(tokens).map((token) => queue.renew(token));
    return { status: 200, body: { expirations: array(expirations, TYPE_CODE.timestamp) } };
  }),

  "peek-message": receiving((queue, { "from-sequence-number": from, "message-count": count, "session-id": session }) => {
    const found = queue.peek(numberOf(from), numberOf(count), typeof session === "string" ? session : undefined);
    if (found.length === 0) return { status: 204 };
    return {
      status: 200,
      body: { messages: found.map((message) => ({ message: encodeMessage({ ...message, lock: undefined }) })) },
    };
  }),

  "receive-by-sequence-number": receiving((queue, body, { link }) => {
    const session = body["session-id"];
    const lock = typeof session === "string" ? sessionsOf(queue).heldBy(session, link) : undefined;
    const forGood = numberOf(body["receiver-settle-mode"]) === 0;
    const messages = queue.receiveDeferred(numbersOf(body["sequence-numbers"]), forGood, lock).map((message) => ({
      "lock-token": types.wrap_uuid(message.lock ? uuidBytes(message.lock.token) : Buffer.alloc(16)),
      message: encodeMessage(message),
    }));
    return { status: 200, body: { messages } };
  }),

  /** How deferred messages are settled. */
  "update-disposition": receiving((queue, body) => {
    const properties = (body["properties-to-modify"] ?? {}) as Record<string, unknown>;
    for (const token of uuidsOf(body["lock-tokens"])) {
      const status = body["disposition-status"];
      if (status === "completed") queue.complete(token);
      else if (status === "abandoned") queue.abandon(token, properties);
      // As Microsoft spells it.
      else if (status === "defered") queue.defer(token, properties);
      else if (status === "suspended")
        queue.deadLetter(token, body["deadletter-reason"], body["deadletter-description"], properties);
      else throw new Refusal("com.microsoft:argument-error", `Unknown disposition '${String(status)}'.`);
    }
    return { status: 200 };
  }),

  "batch-delete-messages": receiving((queue, { "message-count": count, "enqueued-time-utc": before }) => {
    const removed = queue.deleteBatch(numberOf(count), Number(new Date(before as Date | number)));
    return removed > 0 ? { status: 200, body: { "message-count": types.wrap_int(removed) } } : { status: 204 };
  }),

  "renew-session-lock": inSession((sessions, lock) => {
    sessions.renew(lock);
    return { status: 200, body: { expiration: types.wrap_timestamp(lock.until) } };
  }),

  /** A state may be as large as a message. */
  "set-session-state": inSession((sessions, lock, { body, checkSize }) => {
    const state = body["session-state"];
    if (Buffer.isBuffer(state)) checkSize(state);
    sessions.setState(lock, Buffer.isBuffer(state) ? state : undefined);
    return { status: 200 };
  }),

  "get-session-state": inSession((_sessions, { session }) => ({
    status: 200,
    body: { "session-state": session.state ?? null },
  })),

  "get-message-sessions": receiving((queue, { skip, top }) => {
    const from = numberOf(skip);
    const ids = queue.sessionIds().slice(from, from + numberOf(top));
    if (ids.length === 0) return { status: 204 };
    return { status: 200, body: { skip: types.wrap_int(from + ids.length), "sessions-ids": list(ids.map(types.wrap_string)) } };
  }),

  "add-rule": withRules(["Manage"], (rules, { "rule-name": name, "rule-description": description }) => {
    rules.add(parseRule(String(name), description as Record<string, unknown>));
    return { status: 200 };
  }),

  "remove-rule": withRules(["Manage"], (rules, { "rule-name": name }) => {
    rules.remove(String(name));
    return { status: 200 };
  }),

  "enumerate-rules": withRules(["Manage", "Listen"], (rules, { skip, top }) => {
    const from = numberOf(skip);
    const found = rules.list().slice(from, from + numberOf(top));
    if (found.length === 0) return { status: 204 };
    return { status: 200, body: { rules: found.map((rule) => ({ "rule-description": encodeRule(rule) })) } };
  }),
};

/** @throws Refusal if nothing can be sent there */
export function targetOf(entity: Entity): Queue | Topic {
  if (entity.kind === "queue") return entity.queue;
  if (entity.kind === "topic") return entity.topic;
  throw new Refusal("amqp:not-allowed", `The entity '${entity.name}' cannot be sent to.`);
}

/** @throws Refusal if nothing can be received there */
export function queueOf(entity: Entity): Queue {
  if (entity.kind === "topic") throw new Refusal("amqp:not-allowed", `The topic '${entity.name}' cannot be received from.`);
  return entity.queue;
}

/** @throws Refusal if it has none */
export function sessionsOf({ name, sessions }: Queue): Sessions {
  if (sessions) return sessions;
  throw new Refusal(
    "amqp:not-allowed",
    `A sessionful message receiver cannot be created on an entity that does not require sessions: '${name}'.`,
  );
}
