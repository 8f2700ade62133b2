/**
 * Looks at the queues' dead letters, sends one on once more, or throws one away. Service Bus has no call that takes a message by its number:
 * letters are received under locks until the one that is meant is among them, and the others go back as they were, which costs a dead
 * letter nothing.
 */
import { createHash } from "node:crypto";
import type { ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import { refusal } from "../api/error-codes.ts";
import { ControlPlaneError } from "../errors.ts";
import { redacted } from "../log.ts";
import type { Page } from "../stores/table.ts";
import { createServiceBus, type QueueName, queueNames, type ServiceBusSettings } from "./service-bus.ts";

/** What is shown of a dead letter: never its body, only whom it is about. */
export interface DeadLetter {
  /** `{queue}-{sequence number}`, which no other letter ever has. */
  id: string;
  queue: QueueName;
  messageId: string;
  reason: string;
  description?: string | undefined;
  /** When it came to its queue. */
  enqueuedAt: string;
  /** How often it was handed to the app. */
  tries: number;
  partnerId?: string | undefined;
  tenantId?: string | undefined;
}

export interface DeadLetterReader {
  /** Queue by queue, oldest first. */
  list(queues: readonly QueueName[], pageSize: number, after?: string): Promise<Page<DeadLetter>>;
  /** To its queue once more, then away from here. Whoever dies in between has sent it, and sending it again is dropped as a duplicate. */
  replay(id: string): Promise<DeadLetter>;
  discard(id: string): Promise<DeadLetter>;
}

/** So many are held at once while one is looked for. */
const MOST_HELD = 1000;
const BATCH = 100;
const PATIENCE_IN_MILLISECONDS = 1000;

export function createDeadLetterReader(settings: ServiceBusSettings): DeadLetterReader {
  /** A connection for each look: the SDK goes on peeking where the same connection has peeked before. */
  async function reading<Result>(
    queue: QueueName,
    read: (receiver: ServiceBusReceiver, client: ServiceBusClient) => Promise<Result>,
  ): Promise<Result> {
    const bus = createServiceBus(settings);
    try {
      const client = await bus.client();
      // The bytes as they were sent: what could not be read is told and sent on all the same.
      return await read(client.createReceiver(queue, { subQueueType: "deadLetter", skipParsingBodyAsJson: true }), client);
    } catch (cause) {
      if (cause instanceof ControlPlaneError) throw cause;
      throw new ControlPlaneError("ServiceUnavailable", `reading the dead letters of ${queue}`, 503, true, { cause });
    } finally {
      await bus.close();
    }
  }

  /** Takes the one away, and gives back the others. */
  const dealWith = (
    id: string,
    deal?: (client: ServiceBusClient, letter: ServiceBusReceivedMessage, queue: QueueName) => Promise<void>,
  ): Promise<DeadLetter> => {
    const { queue, sequence } = parseId(id);
    return reading(queue, async (receiver, client) => {
      const [there] = await peekFrom(receiver, sequence, 1);
      if (there === undefined || sequenceOf(there) !== sequence) throw notFound(id);
      const held: ServiceBusReceivedMessage[] = [];
      try {
        for (;;) {
          const batch = await receiver.receiveMessages(BATCH, { maxWaitTimeInMs: PATIENCE_IN_MILLISECONDS });
          const meant = batch.find((letter) => sequenceOf(letter) === sequence);
          held.push(...batch.filter((letter) => letter !== meant));
          if (meant) {
            await deal?.(client, meant, queue);
            await receiver.completeMessage(meant);
            return shown(queue, meant);
          }
          // Somebody else holds it at this moment, or it lies under too many others.
          if (batch.length === 0 || held.length >= MOST_HELD)
            throw refusal("ChangedMeanwhile", `the dead letter ${id} could not be had at the moment`);
        }
      } finally {
        await Promise.all(held.map((letter) => receiver.abandonMessage(letter)));
      }
    });
  };

  return {
    async list(queues, pageSize, after) {
      const from = after === undefined ? undefined : parseId(after);
      const items: DeadLetter[] = [];
      for (const queue of queues.slice(from ? queues.indexOf(from.queue) : 0)) {
        const begun = from?.queue === queue ? from.sequence : undefined;
        const wanted = pageSize - items.length + 1;
        // The one that the page before ended with comes first again.
        const found = await reading(queue, (receiver) => peekFrom(receiver, begun, wanted + 1));
        items.push(...found.filter((letter) => sequenceOf(letter) !== begun).map((letter) => shown(queue, letter)));
        if (items.length > pageSize) break;
      }
      const page = items.slice(0, pageSize);
      const last = page.at(-1);
      return items.length > pageSize && last ? { items: page, next: last.id } : { items: page };
    },

    replay: (id) => dealWith(id, (client, letter, queue) => client.createSender(queue).sendMessages(again(queue, letter))),

    discard: (id) => dealWith(id),
  };
}

/** A page of a look is at most 250; a number that is gone leads to the next one. */
async function peekFrom(
  receiver: ServiceBusReceiver,
  sequence: string | undefined,
  count: number,
): Promise<ServiceBusReceivedMessage[]> {
  const [first] = await receiver.peekMessages(1);
  const zero = first?.sequenceNumber?.subtract(first.sequenceNumber);
  if (!first?.sequenceNumber || !zero) return [];
  const found: ServiceBusReceivedMessage[] = [];
  let from = sequence === undefined ? first.sequenceNumber : zero.add(sequence);
  while (found.length < count) {
    const some = await receiver.peekMessages(Math.min(count - found.length, BATCH), { fromSequenceNumber: from });
    const last = some.at(-1)?.sequenceNumber;
    if (!last) break;
    found.push(...some);
    from = last.add(1);
  }
  return found;
}

const sequenceOf = ({ sequenceNumber }: ServiceBusReceivedMessage): string => String(sequenceNumber ?? "");

function parseId(id: string): { queue: QueueName; sequence: string } {
  const [, name, sequence] = /^([a-z]+)-(\d{1,19})$/.exec(id) ?? [];
  const queue = queueNames.find((known) => known === name);
  if (queue === undefined || sequence === undefined) throw notFound(id);
  return { queue, sequence };
}

const notFound = (id: string): ControlPlaneError => refusal("DeadLetterNotFound", `there is no dead letter ${id}`);

function shown(queue: QueueName, letter: ServiceBusReceivedMessage): DeadLetter {
  const { messageId, deadLetterReason, deadLetterErrorDescription, enqueuedTimeUtc, deliveryCount = 0 } = letter;
  return {
    id: `${queue}-${sequenceOf(letter)}`,
    queue,
    messageId: String(messageId),
    reason: deadLetterReason ?? "Unknown",
    description: deadLetterErrorDescription && String(redacted(deadLetterErrorDescription)),
    enqueuedAt: (enqueuedTimeUtc ?? new Date(0)).toISOString(),
    tries: deliveryCount,
    ...whomIn(letter.body),
  };
}

/** Ids only, and only where they look like ours. */
function whomIn(body: unknown): Pick<DeadLetter, "partnerId" | "tenantId"> {
  const { partnerId, tenantId } = objectIn(body);
  return { partnerId: idIn(partnerId), tenantId: idIn(tenantId) };
}

function objectIn(body: unknown): Record<string, unknown> {
  if (!(body instanceof Uint8Array)) return {};
  try {
    const read: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    return typeof read === "object" && read !== null ? { ...read } : {};
  } catch {
    return {};
  }
}

const idIn = (value: unknown): string | undefined =>
  typeof value === "string" && /^[a-z0-9][a-z0-9-]{0,62}$/.test(value) ? value : undefined;

/** Its own id would be dropped as a duplicate for ten minutes; this one is the same however often this letter is sent on. */
function again(queue: QueueName, letter: ServiceBusReceivedMessage): ServiceBusMessage {
  const {
    DeadLetterReason: _reason,
    DeadLetterErrorDescription: _description,
    // It may be put off anew, for as long as any other.
    putOff: _putOff,
    since: _since,
    ...properties
  } = letter.applicationProperties ?? {};
  const name = JSON.stringify([queue, sequenceOf(letter), letter.messageId]);
  return {
    messageId: `replayed-${createHash("sha256").update(name).digest("hex")}`,
    body: letter.body as unknown,
    applicationProperties: properties,
    ...(letter.contentType === undefined ? {} : { contentType: letter.contentType }),
    ...(letter.correlationId === undefined ? {} : { correlationId: letter.correlationId }),
    ...(letter.subject === undefined ? {} : { subject: letter.subject }),
  };
}
