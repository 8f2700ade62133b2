/** What is in the queues and topics, for people and for tests. */
import type { Broker } from "./broker.ts";
import type { Message } from "./message.ts";
import { deadLetterReasonOf, type Queue } from "./queue.ts";

export interface NamespaceState {
  queues: QueueState[];
  topics: TopicState[];
}

export interface TopicState {
  name: string;
  /** Sent, and not yet handed to subscriptions. */
  scheduled: number;
  /** By their own names, without the topic's. */
  subscriptions: QueueState[];
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

export const stateOf = ({ queues, topics }: Broker): NamespaceState => ({
  queues: queues.map((queue) => queueStateOf(queue)),
  topics: topics.map(({ name, scheduled, subscriptions }) => ({
    name,
    scheduled: scheduled(),
    subscriptions: subscriptions.map((subscription) => queueStateOf(subscription.queue, subscription.name)),
  })),
});

function queueStateOf(queue: Queue, name: string = queue.name): QueueState {
  const { active, locked, scheduled, deferred } = queue.counts();
  const deadLetters = (queue.deadLetters?.peek(0, Infinity) ?? []).map(deadLetterOf);
  return { name, active, locked, scheduled, deferred, deadLetters };
}

const deadLetterOf = (message: Message): DeadLetter => ({
  messageId: message.content.messageId,
  sequence: message.sequence,
  ...deadLetterReasonOf(message),
  deliveryCount: message.deliveryCount,
  enqueuedAt: new Date(message.enqueuedAt).toISOString(),
});
