/** Receives the messages of one function, in one of three ways: singly, in batches, or session by session (azure-sdk-for-net, ServiceBusListener.cs). */

import { setTimeout as wait } from "node:timers/promises";
import type {
  ProcessErrorArgs,
  ServiceBusClient,
  ServiceBusReceivedMessage,
  ServiceBusReceiver,
  ServiceBusSessionReceiver,
} from "@azure/service-bus";
import type { ServiceBusSettings } from "./host-settings.ts";
import { reasonOf } from "./service-bus-entity.ts";
import type { Entity } from "./service-bus-entity.ts";

export interface Listener {
  /** Receives nothing more; resolves when what runs has ended and is settled. */
  stop(): Promise<void>;
}

export interface ListenerOptions {
  client: ServiceBusClient;
  entity: Entity;
  settings: ServiceBusSettings;
  sessions: boolean;
  /** Many messages at a time. */
  batch: boolean;
  /** Resolves when they are settled; there is one unless `batch`. */
  handle: (messages: ServiceBusReceivedMessage[], receiver: ServiceBusReceiver) => Promise<void>;
  warn: (message: string) => void;
}

export const listen = (options: ListenerOptions): Listener =>
  options.sessions || options.batch ? pull(options) : subscribe(options);

function subscribe({ client, entity, settings, handle, warn }: ListenerOptions): Listener {
  const receiver = receiverOf(client, entity, settings.lockRenewalInMilliseconds);
  const running = new Set<Promise<void>>();
  const subscription = receiver.subscribe(
    {
      async processMessage(message) {
        const handling = handle([message], receiver);
        running.add(handling);
        await handling.finally(() => running.delete(handling));
      },
      async processError({ error, errorSource }: ProcessErrorArgs) {
        warn(`${errorSource}: ${reasonOf(error)}`);
      },
    },
    { autoCompleteMessages: false, maxConcurrentCalls: settings.maxConcurrentCalls },
  );
  return {
    async stop() {
      await subscription.close();
      await Promise.all(running);
      await receiver.close();
    },
  };
}

/** Asks for the next messages when the last ones are dealt with: of one receiver, or of one session after the other. */
function pull(options: ListenerOptions): Listener {
  const { client, entity, settings, sessions, batch, handle, warn } = options;
  const stopping = new AbortController();
  const stopped = (): boolean => stopping.signal.aborted;
  const size = batch ? settings.maxMessageBatchSize : 1;
  // A batch's locks aren't renewed, a session's is.
  const open = (): Promise<ServiceBusReceiver | undefined> =>
    sessions ? nextSession(options, stopping.signal) : Promise.resolve(receiverOf(client, entity, 0));

  async function work(): Promise<void> {
    while (!stopped()) {
      try {
        const receiver = await open();
        if (receiver) await drain(receiver);
      } catch (error) {
        if (stopped()) return;
        if (!noSessionInTime(error)) warn(reasonOf(error));
        await wait(PAUSE_IN_MILLISECONDS, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  }

  async function drain(receiver: ServiceBusReceiver): Promise<void> {
    let lastMessageAt = Date.now();
    try {
      while (!stopped()) {
        // In short waits, and not in one that is cut off at the end: what had come by then would stay locked.
        const messages = await receiver.receiveMessages(size, { maxWaitTimeInMs: LONGEST_WAIT_IN_MILLISECONDS });
        if (messages.length > 0) {
          await handle(messages, receiver);
          lastMessageAt = Date.now();
        } else if (sessions && Date.now() - lastMessageAt >= settings.sessionIdleTimeoutInMilliseconds) return;
      }
    } finally {
      await receiver.close();
    }
  }

  // Batches come one at a time, with sessions too.
  const workers = Array.from({ length: batch || !sessions ? 1 : settings.maxConcurrentSessions }, work);
  return {
    async stop() {
      stopping.abort();
      await Promise.all(workers);
    },
  };
}

/** After an error, before the broker is asked again. */
const PAUSE_IN_MILLISECONDS = 500;

const LONGEST_WAIT_IN_MILLISECONDS = 1000;

/** @returns nothing if the host stops before there is one */
function nextSession(
  { client, entity, settings }: ListenerOptions,
  stopping: AbortSignal,
): Promise<ServiceBusSessionReceiver | undefined> {
  const options = {
    receiveMode: "peekLock",
    skipParsingBodyAsJson: true,
    maxAutoLockRenewalDurationInMs: settings.lockRenewalInMilliseconds,
  } as const;
  const accepting =
    entity.subscription === undefined
      ? client.acceptNextSession(entity.name, options)
      : client.acceptNextSession(entity.name, entity.subscription, options);
  return new Promise((resolve, reject) => {
    // The SDK hears of an abort only when the broker has answered.
    const stop = (): void => resolve(undefined);
    stopping.addEventListener("abort", stop, { once: true });
    accepting
      .then((session) => (stopping.aborted ? session.close() : resolve(session)))
      .catch(reject)
      .finally(() => stopping.removeEventListener("abort", stop));
  });
}

/** Nobody has sent to a session that is free: the broker's way to say that there is nothing to do. */
const noSessionInTime = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ServiceTimeout" || error.code === "SessionCannotBeLocked");

function receiverOf(
  client: ServiceBusClient,
  { name, subscription }: Entity,
  maxAutoLockRenewalDurationInMs: number,
): ServiceBusReceiver {
  const options = { receiveMode: "peekLock", skipParsingBodyAsJson: true, maxAutoLockRenewalDurationInMs } as const;
  return subscription === undefined ? client.createReceiver(name, options) : client.createReceiver(name, subscription, options);
}
