/** Sends messages to our queues, at once or at a later time. A message id is sent once: the queues drop a second one within ten minutes. */
import type { ServiceBusSender } from "@azure/service-bus";
import { ControlPlaneError } from "../errors.ts";
import { createServiceBus, type QueueName, type ServiceBusSettings } from "./service-bus.ts";

export interface OutgoingMessage {
  /** Derived from what the message is about, so that sending it again changes nothing; up to 128 characters. */
  messageId: string;
  /** Plain JSON; never a secret, only its reference. */
  body: unknown;
  /** Not delivered before. */
  scheduledAt?: Date;
  correlationId?: string;
  /** What a message that was put off keeps of its past. */
  properties?: Record<string, string | number>;
}

export interface Sender {
  /** @throws ControlPlaneError `ServiceUnavailable`, transient, when the broker doesn't take the message; it may have come through all the same */
  send(queue: QueueName, message: OutgoingMessage): Promise<void>;
  close(): Promise<void>;
}

export function createSender(settings: ServiceBusSettings): Sender {
  const bus = createServiceBus(settings);
  const senders = new Map<QueueName, ServiceBusSender>();

  async function senderTo(queue: QueueName): Promise<ServiceBusSender> {
    const client = await bus.client();
    const sender = senders.get(queue) ?? client.createSender(queue);
    senders.set(queue, sender);
    return sender;
  }

  return {
    async send(queue, { messageId, body, scheduledAt, correlationId, properties }) {
      const message = {
        messageId,
        body,
        contentType: "application/json",
        ...(correlationId === undefined ? {} : { correlationId }),
        ...(scheduledAt === undefined ? {} : { scheduledEnqueueTimeUtc: scheduledAt }),
        ...(properties === undefined ? {} : { applicationProperties: properties }),
      };
      try {
        const sender = await senderTo(queue);
        await sender.sendMessages(message);
      } catch (cause) {
        throw new ControlPlaneError("ServiceUnavailable", `sending a message to ${queue}`, 503, true, { cause });
      }
    },
    async close() {
      senders.clear();
      await bus.close();
    },
  };
}
