/** Puts timers and queues into the host. The names live in the host's schedule status and in dashboards, so they never change. */
import { app, type InvocationContext } from "@azure/functions";
import * as durable from "durable-functions";
import { ControlPlaneError } from "./errors.ts";
import type { DeadLetters } from "./messages/dead-letters.ts";
import type { QueueName } from "./messages/service-bus.ts";

export interface TimerCall {
  /** The time for it had passed before the app ran. */
  pastDue: boolean;
}

/** @param schedule a setting's name between percent signs, such as `%GATEWAYS_SCHEDULE%` */
export function registerTimer(name: string, schedule: string, handler: (timer: TimerCall) => Promise<void>): void {
  const watched = watch;
  note(name, schedule, () => handler(byHand));
  app.timer(name, { schedule, handler: ({ isPastDue }) => watched(name, () => handler({ pastDue: isPastDue })) });
}

/** The same for a timer that starts orchestrations. */
export function registerDurableTimer(
  name: string,
  schedule: string,
  handlerWith: (client: durable.DurableClient) => (timer: TimerCall) => Promise<void>,
): void {
  const watched = watch;
  note(name, schedule, (client) => handlerWith(client)(byHand));
  durable.app.client.timer(name, {
    schedule,
    handler: ({ isPastDue }, client) => watched(name, () => handlerWith(client)({ pastDue: isPastDue })),
  });
}

/** Whoever runs a timer by hand means now. */
const byHand: TimerCall = { pastDue: false };

export interface RegisteredTimer {
  name: string;
  /** The setting that has its schedule. */
  setting: string;
  /** What it does when its time has come; nobody watches this run by itself. */
  run(client: durable.DurableClient): Promise<void>;
}

/** Every timer of this app, by its name. */
export const timers = new Map<string, RegisteredTimer>();

const note = (name: string, schedule: string, run: RegisteredTimer["run"]): void =>
  void timers.set(name, { name, setting: schedule.replaceAll("%", ""), run });

/** Runs a timer's function and sees how that goes. It fails when the function does, and for no other reason. */
export type WatchTimer = (timer: string, run: () => Promise<void>) => Promise<void>;

let watch: WatchTimer = (_timer, run) => run();

/** Said before the first timer is registered: who watches the runs of those that follow. */
export const watchTimers = (watching: WatchTimer): void => {
  watch = watching;
};

/** What the broker says about one delivery of a message. */
export interface Delivery {
  messageId: string;
  /** From 1; above it the message was given back, or its receiver died. */
  deliveryCount: number;
  enqueuedAt: Date;
}

/** @returns when the message is dealt with. What it throws gives the message back at once, five times in all. */
export type MessageHandler = (message: unknown, delivery: Delivery) => Promise<void>;

/**
 * @param deadLetters where a message goes at once when the handler throws a ControlPlaneError that trying again can't help; without them
 * it gets there after its last delivery, and the reason is in the log only
 */
export const registerQueue = (
  name: string,
  queue: QueueName,
  handlerWith: (client: durable.DurableClient) => MessageHandler,
  deadLetters?: Pick<DeadLetters, "add">,
): void =>
  durable.app.client.serviceBusQueue(name, {
    connection: "ServiceBusConnection",
    queueName: queue,
    handler: async (message, client, context) => {
      const { lockToken, ...delivery } = deliveryIn(context);
      try {
        await handlerWith(client)(message, delivery);
      } catch (error) {
        if (error instanceof ControlPlaneError && !error.transient) {
          const { code, message: description } = error;
          context.error(`message ${delivery.messageId} of ${queue} can't be handled: ${code}: ${description}`);
          await deadLetters
            ?.add({ queue, messageId: delivery.messageId, lockToken }, code, description)
            // Then its deliveries are used up, and it gets there all the same.
            .catch((cause: unknown) => context.warn(`not dead-lettered with its reason: ${String(cause)}`));
        }
        // The invocation has failed, and is to be seen as failed; a message that is settled isn't given back.
        throw error;
      }
    },
  });

/** The names are the Service Bus extension's (ServiceBusTriggerBindingStrategy.cs), in camel case. */
function deliveryIn({ triggerMetadata = {} }: InvocationContext): Delivery & { lockToken: string } {
  const { messageId, deliveryCount, enqueuedTimeUtc, lockToken } = triggerMetadata;
  return {
    messageId: String(messageId),
    deliveryCount: Number(deliveryCount),
    enqueuedAt: new Date(String(enqueuedTimeUtc)),
    lockToken: String(lockToken),
  };
}
