/** What is in the queues, for people and for tests. */
import type { Broker } from "./broker.ts";
import type { Message } from "./message.ts";
import { deadLetterReasonOf, type Queue } from "./queue.ts";

export interface NamespaceState {
  queues: QueueState[];
}

export interface QueueState {
  name: string;
  /** Ready to be received. */
  active: number;
  /** Received and not settled yet. */
  locked: number;
  scheduled: number;
  deferred: number;
  deadLetters: DeadLetter[];
}

export interface DeadLetter {
  messageId: string;
  sequence: number;
  reason: string | undefined;
  description: string | undefined;
  deliveryCount: number;
  enqueuedAt: string;
}

export const stateOf = ({ queues }: Broker): NamespaceState => ({ queues: queues.map(queueStateOf) });

function queueStateOf(queue: Queue): QueueState {
  const { active, locked, scheduled, deferred } = queue.counts();
  const deadLetters = (queue.deadLetters?.peek(0, Infinity) ?? []).map(deadLetterOf);
  return { name: queue.name, active, locked, scheduled, deferred, deadLetters };
}

const deadLetterOf = (message: Message): DeadLetter => ({
  messageId: message.content.messageId,
  sequence: message.sequence,
  ...deadLetterReasonOf(message),
  deliveryCount: message.deliveryCount,
  enqueuedAt: new Date(message.enqueuedAt).toISOString(),
});
