/** Puts timers and queues into the host. The names live in the host's schedule status and in dashboards, so they never change. */
import { app, type InvocationContext } from "@azure/functions";
import * as durable from "durable-functions";
import { ControlPlaneError, isTransient } from "./errors.ts";
import type { DeadLetters } from "./messages/dead-letters.ts";
import { type Past, putOff, type PutOffWorld } from "./messages/put-off.ts";
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

/** @returns when the message is dealt with. What it throws puts it off, is told to the dead letters, or gives it back, five times in all. */
export type MessageHandler = (message: unknown, delivery: Delivery) => Promise<void>;

/** What becomes of messages that can't be handled. */
export interface QueueWorld extends PutOffWorld {
  deadLetters: Pick<DeadLetters, "add">;
}

/**
 * What is transient puts a message off, for up to three days; a message that trying again can't help goes to the dead letters at once, with its
 * reason; anything else gives it back until its deliveries are used up, and the reason is in the log only.
 */
export const registerQueue = (
  name: string,
  queue: QueueName,
  handlerWith: (client: durable.DurableClient) => MessageHandler,
  world: QueueWorld,
): void =>
  durable.app.client.serviceBusQueue(name, {
    connection: "ServiceBusConnection",
    queueName: queue,
    handler: async (message, client, context) => {
      const { lockToken, past, ...delivery } = deliveryIn(context);
      const { messageId } = delivery;
      try {
        await handlerWith(client)(message, delivery);
      } catch (error) {
        if (isTransient(error)) {
          // Where it can't be sent either, it is given back.
          const until = await putOff(world, { queue, messageId, body: message, ...past }).catch(() => undefined);
          if (until)
            return context.warn(`message ${messageId} of ${queue} is put off until ${until.toISOString()}: ${error.message}`);
        } else if (error instanceof ControlPlaneError) {
          const { code, message: description } = error;
          context.error(`message ${messageId} of ${queue} can't be handled: ${code}: ${description}`);
          await world.deadLetters
            .add({ queue, messageId, lockToken }, code, description)
            // Then its deliveries are used up, and it gets there all the same.
            .catch((cause: unknown) => context.warn(`not dead-lettered with its reason: ${String(cause)}`));
        }
        // The invocation has failed, and is to be seen as failed; a message that is settled isn't given back.
        throw error;
      }
    },
  });

/** The names are the Service Bus extension's (ServiceBusTriggerBindingStrategy.cs), in camel case. */
function deliveryIn({ triggerMetadata = {} }: InvocationContext): Delivery & { lockToken: string; past: Past } {
  const { messageId, deliveryCount, enqueuedTimeUtc, lockToken, applicationProperties } = triggerMetadata;
  const enqueuedAt = new Date(String(enqueuedTimeUtc));
  const { putOff: times = 0, since } = (applicationProperties ?? {}) as { putOff?: unknown; since?: unknown };
  return {
    messageId: String(messageId),
    deliveryCount: Number(deliveryCount),
    enqueuedAt,
    lockToken: String(lockToken),
    past: { putOff: Number(times), since: typeof since === "string" ? new Date(since) : enqueuedAt },
  };
}
