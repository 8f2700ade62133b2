/** Messages that are ready, oldest first, and the consumers that take turns in receiving them: those of a queue, or of one session. */
import { createHeap, type Heap } from "./heap.ts";
import type { Message } from "./message.ts";

/** Whoever takes messages. */
export interface Consumer {
  /** Takes a message once and for all, with no settlement. */
  readonly receiveAndDelete: boolean;
  /** How many messages it can take now. */
  available(): number;
  deliver(message: Message): void;
}

export interface Line {
  /** May also have messages that are ready no more; whoever looks leaves them out. */
  readonly ready: Heap<Message>;
  readonly consumers: Consumer[];
  turn: number;
}

export const createLine = (): Line => ({ ready: createHeap(({ sequence }) => sequence), consumers: [], turn: 0 });

/**
 * Gives out messages for as long as there are some and somebody can take them.
 * @param take the next message, for this consumer
 */
export function handOut(line: Line, take: (consumer: Consumer) => Message | undefined): void {
  const { consumers } = line;
  for (let idle = 0; idle < consumers.length; ) {
    const consumer = consumers[line.turn % consumers.length];
    line.turn += 1;
    if (!consumer || consumer.available() <= 0) {
      idle += 1;
      continue;
    }
    const message = take(consumer);
    if (!message) return;
    idle = 0;
    consumer.deliver(message);
  }
}

export function leave({ consumers }: Line, consumer: Consumer): void {
  const at = consumers.indexOf(consumer);
  if (at >= 0) consumers.splice(at, 1);
}
