/**
 * Puts a message that can never be handled into its queue's dead letters, with a reason a person can read. A function on Node can only
 * return, which completes its message, or throw, which gives it back until its deliveries are used up and leaves the dead letter with
 * `MaxDeliveryCountExceeded` as its only reason. Service Bus lets whoever has the lock token settle the message through the queue's
 * management node (learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response, "update disposition"), and the
 * trigger's metadata have the lock token.
 */
import type { ServiceBusReceivedMessage } from "@azure/service-bus";
import { createServiceBus, type QueueName, type ServiceBusSettings } from "./service-bus.ts";

export interface LockedMessage {
  queue: QueueName;
  messageId: string;
  lockToken: string;
}

export interface DeadLetters {
  /**
   * @param reason a stable code
   * @param description a sentence; what is beyond 4096 characters is cut off, as Service Bus asks
   */
  add(message: LockedMessage, reason: string, description: string): Promise<void>;
  close(): Promise<void>;
}

const LONGEST_DESCRIPTION = 4096;

export function createDeadLetters(settings: ServiceBusSettings): DeadLetters {
  const bus = createServiceBus(settings);
  return {
    async add({ queue, messageId, lockToken }, reason, description) {
      const receiver = (await bus.client()).createReceiver(queue);
      try {
        // A message without a delivery on one of the receiver's links is settled by its lock token, as the SDK does for deferred ones.
        const message = { messageId, lockToken, delivery: {}, body: undefined } as unknown as ServiceBusReceivedMessage;
        await receiver.deadLetterMessage(message, {
          deadLetterReason: reason,
          deadLetterErrorDescription: description.slice(0, LONGEST_DESCRIPTION),
        });
      } finally {
        await receiver.close();
      }
    },
    close: () => bus.close(),
  };
}
