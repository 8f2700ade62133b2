/** `{queue}/$management`: requests that are no deliveries (Microsoft, "AMQP 1.0 in Azure Service Bus: request-response-based operations"). */
import type { Queue } from "../queue.ts";
import { Refusal } from "../refusal.ts";
import { encodeMessage } from "./consumers.ts";
import { decodeContent } from "./content.ts";
import type { Request } from "./rhea.ts";
import { array, longBytes, numberOf, numbersOf, TYPE_CODE, types, uuidBytes, uuidsOf } from "./values.ts";

export interface Answer {
  status: number;
  body?: Record<string, unknown>;
}

type Body = Record<string, unknown>;
type Operation = (queue: Queue, body: Body, checkSize: (bytes: Buffer) => void) => Answer;

/** @throws Refusal */
export function manage(
  queue: Queue,
  { application_properties: properties = {}, body }: Request,
  checkSize: (bytes: Buffer) => void,
): Answer {
  const requested = properties["operation"];
  const name = typeof requested === "string" ? requested.replace("com.microsoft:", "") : "";
  const operation = operations[name];
  if (!operation) throw new Refusal("amqp:not-implemented", `Unknown operation '${name}'.`);
  return operation(queue, (body ?? {}) as Body, checkSize);
}

const operations: Record<string, Operation> = {
  "schedule-message": (queue, { messages }, checkSize) => {
    const encoded = (messages as { message: Buffer }[]).map(({ message }) => message);
    for (const bytes of encoded) checkSize(bytes);
    const sequences = queue.send(encoded.map(decodeContent));
    return { status: 200, body: { "sequence-numbers": array(sequences.map(longBytes), TYPE_CODE.long) } };
  },

  "cancel-scheduled-message": (queue, { "sequence-numbers": sequences }) => {
    queue.cancelScheduled(numbersOf(sequences));
    return { status: 200 };
  },

  "renew-lock": (queue, { "lock-tokens": tokens }) => {
    const expirations = uuidsOf(tokens).map((token) => queue.renew(token));
    return { status: 200, body: { expirations: array(expirations, TYPE_CODE.timestamp) } };
  },

  "peek-message": (queue, { "from-sequence-number": from, "message-count": count }) => {
    const found = queue.peek(numberOf(from), numberOf(count));
    if (found.length === 0) return { status: 204 };
    return {
      status: 200,
      body: { messages: found.map((message) => ({ message: encodeMessage({ ...message, lock: undefined }) })) },
    };
  },

  "receive-by-sequence-number": (queue, { "sequence-numbers": sequences, "receiver-settle-mode": settleMode }) => {
    const messages = queue.receiveDeferred(numbersOf(sequences), numberOf(settleMode) === 0).map((message) => ({
      "lock-token": types.wrap_uuid(message.lock ? uuidBytes(message.lock.token) : Buffer.alloc(16)),
      message: encodeMessage(message),
    }));
    return { status: 200, body: { messages } };
  },

  /** How deferred messages are settled. */
  "update-disposition": (queue, body) => {
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
  },

  "batch-delete-messages": (queue, { "message-count": count, "enqueued-time-utc": before }) => {
    const removed = queue.deleteBatch(numberOf(count), Number(new Date(before as Date | number)));
    return removed > 0 ? { status: 200, body: { "message-count": types.wrap_int(removed) } } : { status: 204 };
  },
};
