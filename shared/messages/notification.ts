/** Queue `notifications`: an event to be told, a delivery whose next try is due, a recipient to be mailed. Each names rows, which decide. */
import { createHash } from "node:crypto";
import * as z from "zod";
import type { Clock } from "../clock.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { EventName } from "../stores/events.ts";
import type { RecipientKey } from "../stores/mail-recipients.ts";
import type { Sender } from "./sender.ts";

const eventSchema = z.object({
  kind: z.literal("event"),
  partnerId: z.string().min(1),
  id: z.string().min(1),
  at: z.iso.datetime(),
});

const deliverySchema = z.object({
  kind: z.literal("delivery"),
  partnerId: z.string().min(1),
  webhookId: z.string().min(1),
  deliveryId: z.string().min(1),
  /** The try that is meant: when another one is due by now, this message is an old one. */
  dueAt: z.iso.datetime(),
});

const mailSchema = z.object({
  kind: z.literal("mail"),
  partnerId: z.string().min(1),
  recipientId: z.string().min(1),
  /** Only so that messages for different times are different ones. */
  dueAt: z.iso.datetime(),
});

const notificationSchema = z.discriminatedUnion("kind", [eventSchema, deliverySchema, mailSchema]);

export type Notification = z.output<typeof notificationSchema>;
export type DueDelivery = Omit<z.output<typeof deliverySchema>, "kind">;

/** Throws MessageMalformed, which no repetition mends. */
export function parseNotification(message: unknown): Notification {
  const parsed = notificationSchema.safeParse(message);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues.map(({ path, message: problem }) => `${path.join(".") || "body"}: ${problem}`).join("; ");
  throw new ControlPlaneError("MessageMalformed", `reading a notification from the queue: ${why}`, 400);
}

const SILENCE_IN_MILLISECONDS = 60_000;

/** Whoever has an event to tell doesn't wait for a broker that is away: after a failure nothing is announced for a minute. */
export function createAnnouncer({ sender, clock, log }: { sender: Pick<Sender, "send">; clock: Clock; log: Log }) {
  let silentUntil = 0;
  return async ({ partnerId, id, at }: EventName): Promise<void> => {
    if (clock.now() < silentUntil) return;
    try {
      await send(sender, { kind: "event", partnerId, id, at });
    } catch (error) {
      silentUntil = clock.now() + SILENCE_IN_MILLISECONDS;
      log.warning("an event could not be announced; the sweep will tell it", { id, error });
    }
  };
}

export const scheduleDelivery = (
  sender: Pick<Sender, "send">,
  { partnerId, webhookId, deliveryId, dueAt }: DueDelivery,
): Promise<void> => send(sender, { kind: "delivery", partnerId, webhookId, deliveryId, dueAt }, new Date(dueAt));

export const scheduleMail = (
  sender: Pick<Sender, "send">,
  { partnerId, id: recipientId }: RecipientKey,
  dueAt: Date,
): Promise<void> => send(sender, { kind: "mail", partnerId, recipientId, dueAt: dueAt.toISOString() }, dueAt);

/** The same message has the same id, so that it is there once however often it is sent within ten minutes. */
const send = (sender: Pick<Sender, "send">, body: Notification, scheduledAt?: Date): Promise<void> =>
  sender.send("notifications", {
    messageId: `${body.kind}-${createHash("sha256").update(JSON.stringify(body)).digest("hex")}`,
    body,
    ...(scheduledAt === undefined ? {} : { scheduledAt }),
  });
