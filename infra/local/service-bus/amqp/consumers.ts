/** A link by which a client receives: it is a consumer of its queue, and settles what it was given. */
import type { Consumer } from "../line.ts";
import type { Message } from "../message.ts";
import type { Queue } from "../queue.ts";
import type { SessionLock } from "../sessions.ts";
import type { Store } from "../store.ts";
import { encodeForReceiver } from "./content.ts";
import { amqpErrorOf, type Outcomes } from "./outcomes.ts";
import type { Delivery, Outcome, SendingLink } from "./rhea.ts";
import { type Typed, types, uuidBytes } from "./values.ts";

export type HowSettled = "accepted" | "released" | "modified" | "rejected";

export interface Receiving {
  /** The client has given credit, or wants what is left of it back. */
  flow(): void;
  settle(delivery: Delivery, how: HowSettled): void;
  detach(): void;
}

/** Deliveries of a session that rhea can keep unsettled; some are left for answers. */
const ROOM_FOR_ANSWERS = 8;

export function createReceiving(
  link: SendingLink,
  { queue, sessionLock }: { queue: Queue; sessionLock?: SessionLock },
  { store, outcomes }: { store: Store; outcomes: Outcomes },
): Receiving {
  const locks = new Map<Delivery, string>();
  /** rhea lowers a link's credit only in the next turn, so what was given out is counted here. */
  let given = 0;
  let drained = 0;
  let draining = false;

  const consumer: Consumer = {
    receiveAndDelete: link.local.attach.snd_settle_mode === 1,
    available() {
      if (draining || !link.is_open() || link.session.outgoing.available() < ROOM_FOR_ANSWERS) return 0;
      return link.credit - (given - (link.delivery_count - drained));
    },
    deliver(message) {
      given += 1;
      if (!consumer.receiveAndDelete) send(message);
      // Its removal is kept first, for it must not come a second time.
      else void store.flush().then(() => send(message));
    },
  };

  function send(message: Message): void {
    const { lock } = message;
    const delivery = link.send(encodeMessage(message), lock ? lockTag(lock.token) : Buffer.alloc(16), 0);
    if (lock) locks.set(delivery, lock.token);
  }

  function drain(): void {
    draining = false;
    drained += Math.max(0, consumer.available());
    draining = true;
    link.set_drained(true);
  }

  // rhea answers a drain only while credit is left; a client whose last message is on its way waits for the answer too.
  link._get_drain = () => {
    if (!link._draining || !link._drained) return false;
    link.delivery_count += Math.max(0, link.credit);
    link.credit = 0;
    return true;
  };

  const change = (token: string, how: HowSettled, outcome: Outcome): void => {
    if (how === "accepted") queue.complete(token);
    else if (how === "rejected") {
      const { DeadLetterReason, DeadLetterErrorDescription, ...properties } = outcome.error?.info ?? {};
      queue.deadLetter(token, DeadLetterReason, DeadLetterErrorDescription, properties);
    } else if (how === "modified" && outcome.undeliverable_here) queue.defer(token, outcome.message_annotations);
    else queue.abandon(token, outcome.message_annotations);
  };

  const attachment = queue.attach(consumer, sessionLock);
  return {
    flow() {
      draining = false;
      attachment.pump();
      if (!link._draining) return;
      // What was taken for good and is still being kept goes out before the answer does.
      if (consumer.receiveAndDelete) void store.flush().then(drain);
      else drain();
    },
    settle(delivery, how) {
      const token = locks.get(delivery);
      if (token === undefined) return;
      locks.delete(delivery);
      let refusal: ReturnType<typeof amqpErrorOf> | undefined;
      try {
        change(token, how, delivery.remote_state ?? {});
      } catch (error) {
        refusal = amqpErrorOf(error);
      }
      void store.flush().then(() => outcomes.settle(delivery, refusal));
    },
    detach: attachment.detach,
  };
}

/** With everything that Azure adds to a message on its way out. */
export function encodeMessage(message: Message): Buffer {
  const { sequence, enqueuedSequence, enqueuedAt, scheduledAt, state, lock, deadLetterSource, deliveryCount, content } = message;
  const annotations: Record<string, Typed> = {
    "x-opt-sequence-number": types.wrap_long(sequence),
    "x-opt-enqueue-sequence-number": types.wrap_long(enqueuedSequence),
    "x-opt-enqueued-time": types.wrap_timestamp(enqueuedAt),
    // Azure reports a message that was scheduled as scheduled ever after.
    "x-opt-message-state": types.wrap_int(state === "deferred" ? 1 : scheduledAt === undefined ? 0 : 2),
  };
  if (lock) annotations["x-opt-locked-until"] = types.wrap_timestamp(lock.until);
  if (deadLetterSource !== undefined) annotations["x-opt-deadletter-source"] = types.wrap_string(deadLetterSource);
  return encodeForReceiver(content, deliveryCount, annotations);
}

/** The lock token is the delivery's tag, in the byte order of a .NET Guid: its first three numbers are little-endian. */
function lockTag(token: string): Buffer {
  const tag = Buffer.from(uuidBytes(token));
  tag.subarray(0, 4).reverse();
  tag.subarray(4, 6).reverse();
  tag.subarray(6, 8).reverse();
  return tag;
}
