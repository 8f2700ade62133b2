/** A message in a queue. */
import type { Content } from "./amqp/content.ts";
import type { Session } from "./sessions.ts";

export interface Message {
  /** Its place in the queue; a scheduled message gets another when it becomes active. */
  sequence: number;
  /** The first sequence number that it had; of a topic's message, the one that the topic gave it. */
  enqueuedSequence: number;
  content: Content;
  state: "active" | "scheduled" | "deferred";
  /** How often it was given out and came back. */
  deliveryCount: number;
  /** Milliseconds since 1970, as all times here. */
  enqueuedAt: number;
  /** `undefined`: never. */
  expiresAt: number | undefined;
  /** When it becomes active, or became so. */
  scheduledAt: number | undefined;
  /** The queue that it was dead-lettered from. */
  deadLetterSource: string | undefined;
  /** Not kept: after a restart nobody holds a message. */
  lock: Lock | undefined;
}

export interface Lock {
  token: string;
  /** Under a session's lock, when that ends. */
  readonly until: number;
  /** The session under whose lock it was received. */
  session?: Session;
}
