/** A queue: what becomes of a message between sending and settling. It knows neither AMQP nor the disk; time comes from the broker. */
import { randomUUID } from "node:crypto";
import { applicationPropertiesOf, type Content, withProperties } from "./amqp/content.ts";
import { createSeenIds, type SeenIds } from "./duplicates.ts";
import { createHeap } from "./heap.ts";
import type { Message } from "./message.ts";
import type { QueueSettings } from "./queue-options.ts";
import { Refusal } from "./refusal.ts";
import type { Store } from "./store.ts";
import type { Timers } from "./timers.ts";

/** Whoever takes messages from a queue. */
export interface Consumer {
  /** Takes a message once and for all, with no settlement. */
  readonly receiveAndDelete: boolean;
  /** How many messages it can take now. */
  available(): number;
  deliver(message: Message): void;
}

export interface QueueWorld {
  clock: { now(): number };
  timers: Timers;
  store: Store;
}

type Properties = Record<string, unknown>;

export const DEAD_LETTER_SUFFIX = "/$DeadLetterQueue";

export class Queue {
  readonly name: string;
  /** A dead-letter queue has none itself. */
  readonly deadLetters: Queue | undefined;
  readonly #world: QueueWorld;
  readonly #settings: QueueSettings;
  readonly #messages = new Map<number, Message>();
  readonly #held = new Map<string, Message>();
  /** May also have messages that are ready no more; `#take` leaves them out. */
  readonly #ready = createHeap<Message>(({ sequence }) => sequence);
  readonly #consumers: Consumer[] = [];
  readonly #seenIds: SeenIds | undefined;
  #nextSequence: number;
  /** Consumers take turns. */
  #turn = 0;

  constructor(world: QueueWorld, settings: QueueSettings, deadLetters?: Queue) {
    this.name = settings.name;
    this.deadLetters = deadLetters;
    this.#world = world;
    this.#settings = settings;
    const { store } = world;
    const { messages, lastSequence, ids } = store.load(this.name);
    this.#nextSequence = lastSequence + 1;
    if (settings.requiresDuplicateDetection)
      this.#seenIds = createSeenIds(settings.duplicateDetectionHistoryTimeWindow, ids, {
        rememberId: (id, seenAt) => store.rememberId(this.name, id, seenAt),
        forgetIdsSeenUntil: (until) => store.forgetIdsSeenUntil(this.name, until),
      });
    for (const message of messages) this.#place(message);
  }

  /** @returns the sequence numbers; a duplicate has none */
  send(contents: Content[], scheduledAt?: number): number[] {
    const now = this.#now();
    const fresh = contents.filter(({ messageId }) => this.#seenIds?.seen(messageId, now) !== true);
    const sequences = fresh.map((content) => {
      const due = scheduledAt ?? content.scheduledAt ?? 0;
      const timeToLive = Math.min(content.timeToLive ?? Infinity, this.#settings.defaultMessageTimeToLive);
      const sequence = this.#nextSequence;
      this.#put({
        sequence,
        enqueuedSequence: sequence,
        content,
        state: due > now ? "scheduled" : "active",
        deliveryCount: 0,
        enqueuedAt: now,
        expiresAt: timeToLive === Infinity ? undefined : Math.max(now, due) + timeToLive,
        scheduledAt: due > now ? due : undefined,
        deadLetterSource: undefined,
        lock: undefined,
      });
      return sequence;
    });
    this.pump();
    return sequences;
  }

  cancelScheduled(sequences: number[]): void {
    for (const sequence of sequences) {
      const message = this.#messages.get(sequence);
      if (message?.state !== "scheduled")
        throw new Refusal(
          "com.microsoft:message-not-found",
          `Could not find scheduled message with sequence number ${sequence}.`,
        );
      this.#remove(message);
    }
  }

  complete(token: string): void {
    this.#remove(this.#heldBy(token));
  }

  abandon(token: string, properties: Properties = {}): void {
    const message = this.#heldBy(token);
    message.content = withProperties(message.content, properties);
    this.#giveBack(message);
    this.pump();
  }

  defer(token: string, properties: Properties = {}): void {
    const message = this.#heldBy(token);
    message.content = withProperties(message.content, properties);
    message.state = "deferred";
    message.deliveryCount += 1;
    this.#unlock(message);
    this.#save(message);
  }

  deadLetter(token: string, reason: unknown, description: unknown, properties: Properties = {}): void {
    const message = this.#heldBy(token);
    if (!this.deadLetters) {
      this.#unlock(message);
      this.#makeReady(message);
      this.pump();
      throw new Refusal("amqp:not-allowed", "A message cannot be dead-lettered from a dead-letter queue.");
    }
    this.#moveToDeadLetters(message, { ...properties, DeadLetterReason: reason, DeadLetterErrorDescription: description });
  }

  /** @returns until when the lock is held now */
  renew(token: string): number {
    const message = this.#heldBy(token);
    const lock = { token, until: this.#now() + this.#settings.lockDuration };
    message.lock = lock;
    this.#watchLock(message, lock.until);
    return lock.until;
  }

  /** Takes deferred messages: all of them, or none. */
  receiveDeferred(sequences: number[], receiveAndDelete: boolean): Message[] {
    const messages = sequences.map((sequence) => {
      const message = this.#messages.get(sequence);
      if (message?.state === "deferred" && !message.lock) return message;
      throw new Refusal(
        "com.microsoft:message-not-found",
        `Failed to lock one or more specified messages. The message with sequence number ${sequence} does not exist.`,
      );
    });
    for (const message of messages) {
      if (receiveAndDelete) this.#remove(message);
      else this.#lock(message);
    }
    return messages;
  }

  /** Looks without taking, in the order of sequence numbers. */
  peek(fromSequence: number, count: number): Message[] {
    const later = [...this.#messages.values()].filter(({ sequence }) => sequence >= fromSequence);
    return later.sort((a, b) => a.sequence - b.sequence).slice(0, count);
  }

  /** Removes active messages that nobody holds, oldest first. */
  deleteBatch(count: number, enqueuedBefore: number): number {
    const removable = this.peek(0, Infinity).filter(
      ({ state, lock, enqueuedAt }) => state === "active" && !lock && enqueuedAt < enqueuedBefore,
    );
    for (const message of removable.slice(0, count)) this.#remove(message);
    return Math.min(count, removable.length);
  }

  attach(consumer: Consumer): void {
    this.#consumers.push(consumer);
    this.pump();
  }

  /** What it holds stays locked until the lock ends, as in Azure. */
  detach(consumer: Consumer): void {
    const at = this.#consumers.indexOf(consumer);
    if (at >= 0) this.#consumers.splice(at, 1);
  }

  /** Gives ready messages to consumers that can take some. */
  pump(): void {
    for (let idle = 0; idle < this.#consumers.length; ) {
      const consumer = this.#consumers[this.#turn % this.#consumers.length];
      this.#turn += 1;
      if (!consumer || consumer.available() <= 0) {
        idle += 1;
        continue;
      }
      const message = this.#take();
      if (!message) return;
      idle = 0;
      if (consumer.receiveAndDelete) this.#remove(message);
      else this.#lock(message);
      consumer.deliver(message);
    }
  }

  counts(): { active: number; locked: number; scheduled: number; deferred: number } {
    const counts = { active: 0, locked: 0, scheduled: 0, deferred: 0 };
    for (const { state, lock } of this.#messages.values()) counts[lock ? "locked" : state] += 1;
    return counts;
  }

  #now(): number {
    return this.#world.clock.now();
  }

  #save(message: Message): void {
    this.#world.store.save(this.name, message);
  }

  #put(message: Message): void {
    this.#place(message);
    this.#save(message);
  }

  /** Into memory, with the timers that it needs. */
  #place(message: Message): void {
    this.#nextSequence = Math.max(this.#nextSequence, message.sequence + 1);
    this.#messages.set(message.sequence, message);
    if (message.state === "scheduled") this.#world.timers.at(message.scheduledAt ?? 0, () => this.#activate(message));
    if (message.state === "active") this.#makeReady(message);
  }

  #remove(message: Message): void {
    this.#unlock(message);
    this.#messages.delete(message.sequence);
    this.#world.store.remove(this.name, message.sequence);
  }

  /** A scheduled message gets a new sequence number when it becomes active; the enqueued one stays. */
  #activate(message: Message): void {
    if (this.#messages.get(message.sequence) !== message || message.state !== "scheduled") return;
    this.#remove(message);
    this.#put({ ...message, sequence: this.#nextSequence, state: "active", enqueuedAt: this.#now() });
    this.pump();
  }

  #makeReady(message: Message): void {
    this.#ready.push(message);
    // In a dead-letter queue nothing expires.
    if (message.expiresAt !== undefined && this.deadLetters)
      this.#world.timers.at(message.expiresAt, () => this.#expire(message));
  }

  /** While somebody holds it, a message does not expire; it does when it comes back. */
  #expire(message: Message): void {
    if (!this.#isReady(message)) return;
    if (this.#settings.deadLetteringOnMessageExpiration)
      this.#moveToDeadLetters(message, {
        DeadLetterReason: "TTLExpiredException",
        DeadLetterErrorDescription: "The message expired and was dead lettered.",
      });
    else this.#remove(message);
  }

  #isReady(message: Message): boolean {
    return this.#messages.get(message.sequence) === message && message.state === "active" && !message.lock;
  }

  #take(): Message | undefined {
    for (let message = this.#ready.pop(); message; message = this.#ready.pop()) {
      if (!this.#isReady(message)) continue;
      if (!this.deadLetters || message.expiresAt === undefined || message.expiresAt > this.#now()) return message;
      this.#expire(message);
    }
    return undefined;
  }

  #lock(message: Message): void {
    const lock = { token: randomUUID(), until: this.#now() + this.#settings.lockDuration };
    message.lock = lock;
    this.#held.set(lock.token, message);
    this.#watchLock(message, lock.until);
  }

  #watchLock(message: Message, until: number): void {
    const token = message.lock?.token;
    this.#world.timers.at(until, () => {
      const { lock } = message;
      if (lock?.token !== token || lock === undefined || lock.until > this.#now()) return;
      this.#giveBack(message);
      this.pump();
    });
  }

  #unlock(message: Message): void {
    if (message.lock) this.#held.delete(message.lock.token);
    message.lock = undefined;
  }

  #heldBy(token: string): Message {
    const message = this.#held.get(token);
    if (message?.lock && message.lock.until > this.#now()) return message;
    throw new Refusal(
      "com.microsoft:message-lock-lost",
      "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.",
    );
  }

  /** Counts the delivery, and dead-letters the message when there were too many. A dead-letter queue counts none. */
  #giveBack(message: Message): void {
    this.#unlock(message);
    if (this.deadLetters) message.deliveryCount += 1;
    if (this.deadLetters && message.deliveryCount >= this.#settings.maxDeliveryCount) {
      this.#moveToDeadLetters(message, {
        DeadLetterReason: "MaxDeliveryCountExceeded",
        DeadLetterErrorDescription: `Message could not be consumed after ${this.#settings.maxDeliveryCount} delivery attempts.`,
      });
      return;
    }
    this.#save(message);
    if (message.state === "active") this.#makeReady(message);
  }

  #moveToDeadLetters(message: Message, properties: Properties): void {
    const { deadLetters } = this;
    if (!deadLetters) return;
    this.#remove(message);
    const content = withProperties(message.content, properties);
    deadLetters.#put({ ...message, content, state: "active", lock: undefined, deadLetterSource: this.name });
    deadLetters.pump();
  }
}

/** Why a message was dead-lettered, as far as it says. */
export function deadLetterReasonOf({ content }: Message): { reason: string | undefined; description: string | undefined } {
  const { DeadLetterReason: reason, DeadLetterErrorDescription: description } = applicationPropertiesOf(content);
  return {
    reason: typeof reason === "string" ? reason : undefined,
    description: typeof description === "string" ? description : undefined,
  };
}
