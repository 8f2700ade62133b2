/** A queue: what becomes of a message between sending and settling. It knows neither AMQP nor the disk; time comes from the broker. */
import { randomUUID } from "node:crypto";
import { applicationPropertiesOf, type Content, withProperties } from "./amqp/content.ts";
import { createSeenIds, type SeenIds } from "./duplicates.ts";
import { type Consumer, createLine, handOut, leave, type Line } from "./line.ts";
import type { Message } from "./message.ts";
import type { QueueSettings } from "./options.ts";
import { Refusal } from "./refusal.ts";
import { type Session, type SessionLock, Sessions } from "./sessions.ts";
import type { Store } from "./store.ts";
import type { Timers } from "./timers.ts";

export interface QueueWorld {
  clock: { now(): number };
  timers: Timers;
  store: Store;
}

/** What a queue hands its messages on to. */
export interface Neighbours {
  /** A dead-letter queue has none itself. */
  deadLetters?: Queue;
  /** Takes what becomes active; the queue keeps scheduled messages only. */
  onward?: (message: Message) => void;
}

/** A consumer's place at the queue. */
export interface Attachment {
  /** Gives it what it can take. */
  pump(): void;
  /** What it holds stays locked until the lock ends; under a session's lock, which ends now, it goes back uncounted. */
  detach(): void;
}

type Properties = Record<string, unknown>;

export const DEAD_LETTER_SUFFIX = "/$DeadLetterQueue";

export class Queue {
  readonly name: string;
  /** A dead-letter queue has none itself. */
  readonly deadLetters: Queue | undefined;
  /** If receivers must accept sessions. */
  readonly sessions: Sessions | undefined;
  readonly #world: QueueWorld;
  readonly #settings: QueueSettings;
  readonly #onward: ((message: Message) => void) | undefined;
  readonly #messages = new Map<number, Message>();
  readonly #held = new Map<string, Message>();
  /** Of a queue without sessions. */
  readonly #line = createLine();
  readonly #seenIds: SeenIds | undefined;
  #nextSequence: number;

  constructor(world: QueueWorld, settings: QueueSettings, { deadLetters, onward }: Neighbours = {}) {
    this.name = settings.name;
    this.deadLetters = deadLetters;
    this.#onward = onward;
    this.#world = world;
    this.#settings = settings;
    const { store, clock, timers } = world;
    const { messages, lastSequence, ids, states } = store.load(this.name);
    this.#nextSequence = lastSequence + 1;
    if (settings.requiresDuplicateDetection)
      this.#seenIds = createSeenIds(settings.duplicateDetectionHistoryTimeWindow, ids, {
        rememberId: (id, seenAt) => store.rememberId(this.name, id, seenAt),
        forgetIdsSeenUntil: (until) => store.forgetIdsSeenUntil(this.name, until),
      });
    if (settings.requiresSession)
      this.sessions = new Sessions({
        clock,
        timers,
        lockDuration: settings.lockDuration,
        states,
        saveState: (id, state) => store.saveState(this.name, id, state),
        oldest: (session) => this.#first(session)?.sequence,
        released: (session, expired) => {
          for (const message of this.#held.values()) if (message.lock?.session === session) this.#giveBack(message, expired);
        },
      });
    for (const message of messages) this.#place(message);
  }

  /** All of them, or none. @returns the sequence numbers; a duplicate has none */
  send(contents: Content[]): number[] {
    if (this.sessions && contents.some(({ sessionId }) => sessionId === undefined))
      throw new Refusal(
        "amqp:not-allowed",
        "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session support enabled can only receive messages that have the SessionId set to a valid value.",
      );
    const now = this.#now();
    const fresh = contents.filter(({ messageId }) => this.#seenIds?.seen(messageId, now) !== true);
    const sequences = fresh.map((content) => {
      const due = content.scheduledAt ?? 0;
      const sequence = this.#nextSequence;
      this.#put({
        sequence,
        enqueuedSequence: sequence,
        content,
        state: due > now ? "scheduled" : "active",
        deliveryCount: 0,
        enqueuedAt: now,
        expiresAt: this.#expiry(content.timeToLive, Math.max(now, due)),
        scheduledAt: due > now ? due : undefined,
        deadLetterSource: undefined,
        lock: undefined,
      });
      return sequence;
    });
    this.#pumpFor(fresh);
    return sequences;
  }

  /** A copy of what was sent to the topic whose subscription this is. */
  copy(sent: Message): void {
    const expiresAt = Math.min(sent.expiresAt ?? Infinity, this.#expiry(undefined, this.#now()) ?? Infinity);
    const message = { ...sent, sequence: this.#nextSequence, expiresAt: expiresAt === Infinity ? undefined : expiresAt };
    // A topic may have subscriptions with and without sessions, so it takes what only some of them can.
    if (this.sessions && sent.content.sessionId === undefined) {
      this.#nextSequence += 1;
      this.#moveToDeadLetters(message, {
        DeadLetterReason: "Session ID is null",
        DeadLetterErrorDescription: "Session enabled entity doesn't allow a message whose session identifier is null.",
      });
      return;
    }
    this.#put(message);
    this.#pumpFor([message.content]);
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
    this.#giveBack(message, true);
    this.#pumpFor([message.content]);
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
      this.#giveBack(message, false);
      this.#pumpFor([message.content]);
      throw new Refusal("amqp:not-allowed", "A message cannot be dead-lettered from a dead-letter queue.");
    }
    this.#moveToDeadLetters(message, { ...properties, DeadLetterReason: reason, DeadLetterErrorDescription: description });
  }

  /** @returns until when the lock is held now */
  renew(token: string): number {
    const message = this.#heldBy(token);
    if (message.lock?.session) throw new Refusal("amqp:not-allowed", "The session's lock is renewed, not those of its messages.");
    const lock = { token, until: this.#now() + this.#settings.lockDuration };
    message.lock = lock;
    this.#watchLock(message, lock.until);
    return lock.until;
  }

  /** Takes deferred messages: all of them, or none. Those of a session only under its lock. */
  receiveDeferred(sequences: number[], receiveAndDelete: boolean, sessionLock?: SessionLock): Message[] {
    if (this.sessions && !sessionLock) throw sessionRequired();
    const messages = sequences.map((sequence) => {
      const message = this.#messages.get(sequence);
      const inSession = !sessionLock || message?.content.sessionId === sessionLock.session.id;
      if (message?.state === "deferred" && !message.lock && inSession) return message;
      throw new Refusal(
        "com.microsoft:message-not-found",
        `Failed to lock one or more specified messages. The message with sequence number ${sequence} does not exist.`,
      );
    });
    for (const message of messages) {
      if (receiveAndDelete) this.#remove(message);
      else this.#lock(message, sessionLock);
    }
    return messages;
  }

  /** Looks without taking, in the order of sequence numbers; at all messages, or those of a session. */
  peek(fromSequence: number, count: number, sessionId?: string): Message[] {
    const later = [...this.#messages.values()].filter(
      ({ sequence, content }) => sequence >= fromSequence && (sessionId === undefined || content.sessionId === sessionId),
    );
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

  /** Sessions that have messages or a state. */
  sessionIds(): string[] {
    const ofMessages = [...this.#messages.values()].flatMap(({ content: { sessionId } }) =>
      sessionId === undefined ? [] : [sessionId],
    );
    return [...new Set([...ofMessages, ...(this.sessions?.withState() ?? [])])].sort();
  }

  /** @throws Refusal if there are sessions and it comes without one, or the other way round */
  attach(consumer: Consumer, sessionLock?: SessionLock): Attachment {
    if (this.sessions && !sessionLock) throw sessionRequired();
    const line = sessionLock?.session ?? this.#line;
    line.consumers.push(consumer);
    this.#pump(line);
    return {
      pump: () => this.#pump(line),
      detach: () => {
        leave(line, consumer);
        if (sessionLock) this.sessions?.release(sessionLock);
      },
    };
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
    if (this.#onward && message.state === "active") {
      this.#nextSequence = Math.max(this.#nextSequence, message.sequence + 1);
      this.#world.store.reserve(this.name, message.sequence);
      this.#onward(message);
      return;
    }
    this.#place(message);
    this.#save(message);
  }

  #expiry(timeToLive: number | undefined, from: number): number | undefined {
    const shorter = Math.min(timeToLive ?? Infinity, this.#settings.defaultMessageTimeToLive);
    return shorter === Infinity ? undefined : from + shorter;
  }

  #lineOf({ sessionId }: Content): Line | Session {
    return this.sessions?.get(sessionId ?? "") ?? this.#line;
  }

  /** Something may have become ready where these are. */
  #pumpFor(contents: Content[]): void {
    for (const line of new Set(contents.map((content) => this.#lineOf(content)))) this.#pump(line);
    this.sessions?.serve();
  }

  #pump(line: Line | Session): void {
    const sessionLock = "lock" in line ? line.lock : undefined;
    handOut(line, ({ receiveAndDelete }) => {
      const message = this.#take(line);
      if (message && receiveAndDelete) this.#remove(message);
      else if (message) this.#lock(message, sessionLock);
      return message;
    });
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
    this.#pumpFor([message.content]);
  }

  #makeReady(message: Message): void {
    this.#lineOf(message.content).ready.push(message);
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

  /** The oldest message of a line that is ready. */
  #first({ ready }: Line): Message | undefined {
    for (let message = ready.peek(); message; message = ready.peek()) {
      if (this.#isReady(message)) {
        if (!this.deadLetters || message.expiresAt === undefined || message.expiresAt > this.#now()) return message;
        this.#expire(message);
      }
      ready.pop();
    }
    return undefined;
  }

  #take(line: Line): Message | undefined {
    const message = this.#first(line);
    if (message) line.ready.pop();
    return message;
  }

  #lock(message: Message, sessionLock: SessionLock | undefined): void {
    const token = randomUUID();
    this.#held.set(token, message);
    if (sessionLock) {
      const { session } = sessionLock;
      message.lock = {
        token,
        session,
        get until() {
          return sessionLock.until;
        },
      };
    } else {
      message.lock = { token, until: this.#now() + this.#settings.lockDuration };
      this.#watchLock(message, message.lock.until);
    }
  }

  #watchLock(message: Message, until: number): void {
    const token = message.lock?.token;
    this.#world.timers.at(until, () => {
      const { lock } = message;
      if (lock?.token !== token || lock === undefined || lock.until > this.#now()) return;
      this.#giveBack(message, true);
      this.#pumpFor([message.content]);
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
  #giveBack(message: Message, counted: boolean): void {
    this.#unlock(message);
    if (this.deadLetters && counted) message.deliveryCount += 1;
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
    deadLetters.#pumpFor([content]);
  }
}

const sessionRequired = (): Refusal =>
  new Refusal(
    "amqp:not-allowed",
    "It is not possible for an entity that requires sessions to create a non-sessionful message receiver.",
  );

/** Why a message was dead-lettered, as far as it says. */
export function deadLetterReasonOf({ content }: Message): { reason: string | undefined; description: string | undefined } {
  const { DeadLetterReason: reason, DeadLetterErrorDescription: description } = applicationPropertiesOf(content);
  return {
    reason: typeof reason === "string" ? reason : undefined,
    description: typeof description === "string" ? description : undefined,
  };
}
