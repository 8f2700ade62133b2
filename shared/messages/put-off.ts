/**
 * Puts a message off that can't be handled at the moment: a copy of it comes later, and it counts as handled. Service Bus itself gives back at
 * once: while storage doesn't answer, a message would have used up its deliveries within a second, and all that wait would be dead letters.
 */
import type { Clock } from "../clock.ts";
import type { Sender } from "./sender.ts";
import type { QueueName } from "./service-bus.ts";

/** How often a message was put off, and since when it waits. */
export interface Past {
  putOff: number;
  since: Date;
}

export interface WaitingMessage extends Past {
  queue: QueueName;
  messageId: string;
  body: unknown;
}

const FIRST_WAIT_IN_SECONDS = 10;
const LONGEST_WAIT_IN_SECONDS = 15 * 60;
/** As long as a webhook's deliveries are tried: whoever wants it still finds it among the dead letters. */
export const PUT_OFF_FOR_IN_SECONDS = 3 * 24 * 3600;

const LONGEST_MESSAGE_ID = 128;

export interface PutOffWorld {
  sender: Pick<Sender, "send">;
  clock: Clock;
}

/** @returns when the copy comes; nothing when the message has waited for three days. Throws what `send` throws. */
export async function putOff({ sender, clock }: PutOffWorld, message: WaitingMessage): Promise<Date | undefined> {
  const { queue, messageId, body, since, putOff: before } = message;
  const now = clock.now();
  if (now - since.getTime() >= PUT_OFF_FOR_IN_SECONDS * 1000) return undefined;
  const longest = Math.min(LONGEST_WAIT_IN_SECONDS, FIRST_WAIT_IN_SECONDS * 2 ** before);
  // By chance between a half and all of it, so that ten thousand that were put off together don't come back together.
  const at = new Date(now + longest * (0.5 + Math.random() / 2) * 1000);
  const suffix = `~${before + 1}`;
  const id = messageId.replace(/~\d+$/, "").slice(0, LONGEST_MESSAGE_ID - suffix.length);
  const properties = { putOff: before + 1, since: since.toISOString() };
  await sender.send(queue, { messageId: `${id}${suffix}`, body, scheduledAt: at, properties });
  return at;
}
