/**
 * Gives messages to functions, as Azure's Service Bus extension does: peek-lock, and a function that returns completes its messages, one that
 * throws gives them back at once.
 */

import type { ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import type { HostClock } from "./clock.ts";
import type { Binding, FunctionApp, RegisteredFunction, TypedData } from "./functions-core.ts";
import { FunctionsSystemError } from "./functions-core.ts";
import type { ServiceBusSettings } from "./host-settings.ts";
import { invoke } from "./invocation.ts";
import type { Log, LogLevel } from "./log.ts";
import { entityOf, reasonOf } from "./service-bus-entity.ts";
import type { Clients, Entity } from "./service-bus-entity.ts";
import { listen } from "./service-bus-listener.ts";
import type { Listener } from "./service-bus-listener.ts";
import { dataOf, dataOfBatch, deliveryCountOf, metadataOf, metadataOfBatch } from "./service-bus-message.ts";

export interface ServiceBusTriggerOptions {
  app: FunctionApp;
  functions: RegisteredFunction[];
  settings: ServiceBusSettings;
  clients: Clients;
  clock: HostClock;
  log: Log;
  input: (binding: Binding) => TypedData | undefined;
  /** Messages come again although their function has returned, as if their completion had been lost. */
  chaos?: boolean;
}

export type ServiceBusTrigger = ReturnType<typeof createServiceBusTrigger>;

/** @throws FunctionsSystemError for what can't be listened to, so that it shows at start */
export function createServiceBusTrigger(options: ServiceBusTriggerOptions) {
  const sources = new Map(options.functions.map((each) => [each.name, { busFunction: each, entity: sourceOf(each) }]));
  const listeners: Listener[] = [];

  return {
    async begin(): Promise<void> {
      for (const { busFunction, entity } of sources.values()) listeners.push(await begin(options, busFunction, entity));
    },
    /** Runs a function now with a message that never was on the bus. */
    async run(name: string, body: string): Promise<void> {
      const found = sources.get(name);
      if (!found) return;
      const data = isBatch(found.busFunction) ? { collectionString: { string: [body] } } : { string: body };
      await call(options, found.busFunction, data, {});
    },
    /** Receives nothing more; resolves when the functions that run have ended and their messages are settled. */
    async stop(): Promise<void> {
      await Promise.all(listeners.map((listener) => listener.stop()));
    },
  };
}

function sourceOf(busFunction: RegisteredFunction): Entity {
  if (busFunction.trigger["sdkBinding"] === true)
    throw new FunctionsSystemError(`function '${busFunction.name}' wants the SDK's message, which this host doesn't give`);
  return entityOf(busFunction, busFunction.trigger);
}

const isBatch = ({ trigger }: RegisteredFunction): boolean => trigger["cardinality"] === "many";

async function begin(options: ServiceBusTriggerOptions, busFunction: RegisteredFunction, entity: Entity): Promise<Listener> {
  const { settings, log, clients, chaos = false } = options;
  const { name, trigger } = busFunction;
  const say = (level: LogLevel, message: string): void =>
    log({ level, category: `Function.${name}`, functionName: name, message: `${entity.name}: ${message}` });
  const completing = (trigger["autoCompleteMessages"] as boolean | undefined) ?? settings.autoCompleteMessages;
  const binary = trigger["dataType"] === "binary";
  const batch = isBatch(busFunction);
  const settle = oneAtATime();

  async function handle(messages: ServiceBusReceivedMessage[], receiver: ServiceBusReceiver): Promise<void> {
    const settlement = await outcome(messages);
    if (!settlement) return;
    const settled = messages.map((message) =>
      settle(() => receiver[settlement](message)).catch((error: unknown) =>
        say("warning", `message ${told(message)} was not settled and will come again unless it is gone: ${reasonOf(error)}`),
      ),
    );
    await Promise.all(settled);
  }

  async function outcome(messages: ServiceBusReceivedMessage[]): Promise<"completeMessage" | "abandonMessage" | undefined> {
    try {
      await deliver(messages);
      if (chaos) await deliver(messages.map(again));
      return completing ? "completeMessage" : undefined;
    } catch (error) {
      const which = messages.map((message) => `${told(message)}, delivery ${deliveryCountOf(message)}`).join("; ");
      say("error", `message ${which}: ${reasonOf(error)}`);
      return "abandonMessage";
    }
  }

  async function deliver(messages: ServiceBusReceivedMessage[]): Promise<void> {
    const [message] = messages;
    if (batch) await call(options, busFunction, dataOfBatch(messages, binary), metadataOfBatch(messages));
    else if (message) await call(options, busFunction, dataOf(message, binary), metadataOf(message));
  }

  const sessions = trigger["isSessionsEnabled"] === true;
  const client = await clients.get(entity);
  return listen({ client, entity, settings, sessions, batch, handle, warn: (message) => say("warning", message) });
}

const told = ({ messageId }: ServiceBusReceivedMessage): string => String(messageId);

const again = (message: ServiceBusReceivedMessage): ServiceBusReceivedMessage => ({
  ...message,
  deliveryCount: (message.deliveryCount ?? 0) + 1,
});

/**
 * Two settlements in one turn would be one to rhea, below the SDK: it folds a dead-letter into the completion before it, and both
 * promises are kept although one message is lost. So each waits for the answer to the one before.
 */
function oneAtATime() {
  let last: Promise<void> = Promise.resolve();
  return (settle: () => Promise<void>): Promise<void> => {
    const settled = last.then(settle);
    last = settled.catch(() => undefined);
    return settled;
  };
}

async function call(
  { app, clock, input }: ServiceBusTriggerOptions,
  busFunction: RegisteredFunction,
  data: TypedData,
  triggerMetadata: Record<string, TypedData>,
): Promise<void> {
  const release = clock.hold();
  try {
    await invoke(app, busFunction, data, { triggerMetadata, input });
  } finally {
    release();
  }
}
