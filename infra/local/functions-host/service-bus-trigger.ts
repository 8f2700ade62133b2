/**
 * Gives messages to functions, as Azure's Service Bus extension does: peek-lock, so many at a time, locks renewed while a function runs;
 * a function that returns completes its message, one that throws gives it back at once.
 */

import type { ProcessErrorArgs, ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver } from "@azure/service-bus";
import type { HostClock } from "./clock.ts";
import type { Binding, FunctionApp, RegisteredFunction, TypedData } from "./functions-core.ts";
import { FunctionsSystemError } from "./functions-core.ts";
import { expandSettings } from "./host-settings.ts";
import type { ServiceBusSettings } from "./host-settings.ts";
import { invoke } from "./invocation.ts";
import type { Log, LogLevel } from "./log.ts";

export interface ServiceBusTriggerOptions {
  app: FunctionApp;
  functions: RegisteredFunction[];
  settings: ServiceBusSettings;
  clock: HostClock;
  log: Log;
  input: (binding: Binding) => TypedData | undefined;
}

export type ServiceBusTrigger = ReturnType<typeof createServiceBusTrigger>;

/** A broker that is away is asked again within seconds. */
const retryOptions = { maxRetries: 3, retryDelayInMs: 500, maxRetryDelayInMs: 2000, timeoutInMs: 10_000 };

/** @throws FunctionsSystemError for what can't be listened to, so that it shows at start */
export function createServiceBusTrigger(options: ServiceBusTriggerOptions) {
  const sources = new Map(options.functions.map((each) => [each.name, { busFunction: each, source: sourceOf(each) }]));
  const clients = new Map<string, ServiceBusClient>();
  const listeners: Listener[] = [];

  return {
    async begin(): Promise<void> {
      if (sources.size === 0) return;
      const { ServiceBusClient: Client } = await import("@azure/service-bus");
      for (const { busFunction, source } of sources.values()) {
        const client = clients.get(source.connection) ?? new Client(source.connection, { retryOptions });
        clients.set(source.connection, client);
        listeners.push(listen(options, busFunction, client, source));
      }
    },
    /** Runs a function now with a message that never was on the bus. */
    async run(name: string, body: string): Promise<void> {
      const found = sources.get(name);
      if (found) await call(options, found.busFunction, { string: body }, {});
    },
    /** Receives nothing more; resolves when the functions that run have ended and their messages are settled. */
    async stop(): Promise<void> {
      await Promise.all(listeners.map((listener) => listener.stop()));
    },
    /** What isn't settled now comes back when its lock has expired. */
    close(): void {
      for (const client of clients.values()) void client.close().catch(() => undefined);
    },
  };
}

interface Source {
  connection: string;
  /** A queue's or topic's name. */
  entity: string;
  subscription: string | undefined;
}

function sourceOf({ name, trigger }: RegisteredFunction): Source {
  const refused = (why: string): FunctionsSystemError => new FunctionsSystemError(`function '${name}' ${why}`);
  const text = (option: string): string | undefined => {
    const value = trigger[option];
    return typeof value === "string" ? expandSettings(value, `function '${name}'`) : undefined;
  };
  if (trigger["isSessionsEnabled"] === true) throw refused("wants sessions, which this host doesn't have");
  if (trigger["cardinality"] === "many") throw refused("wants many messages at a time, which this host doesn't give");
  if (trigger["sdkBinding"] === true) throw refused("wants the SDK's message, which this host doesn't give");
  const entity = text("queueName") ?? text("topicName");
  if (entity === undefined) throw refused("names no queue or topic");
  return {
    connection: connectionOf(text("connection") ?? "AzureWebJobsServiceBus", refused),
    entity,
    subscription: text("subscriptionName"),
  };
}

/** The setting may have the prefix that all of the host's own settings may have. */
function connectionOf(setting: string, refused: (why: string) => Error): string {
  const connection = process.env[setting] ?? process.env[`AzureWebJobs${setting}`];
  if (connection?.includes(";")) return connection;
  throw refused(`needs a connection string of Service Bus in the setting ${setting}; identities are for Azure`);
}

interface Listener {
  stop(): Promise<void>;
}

function listen(
  options: ServiceBusTriggerOptions,
  busFunction: RegisteredFunction,
  client: ServiceBusClient,
  source: Source,
): Listener {
  const { settings, log } = options;
  const { name, trigger } = busFunction;
  const say = (level: LogLevel, message: string): void =>
    log({ level, category: `Function.${name}`, functionName: name, message: `${source.entity}: ${message}` });
  const completing = (trigger["autoCompleteMessages"] as boolean | undefined) ?? settings.autoCompleteMessages;
  const receiver = receiverOf(client, source, settings.lockRenewalInMilliseconds);
  const settle = oneAtATime();
  const running = new Set<Promise<void>>();

  async function handle(message: ServiceBusReceivedMessage): Promise<void> {
    const settlement = await outcome(message);
    if (!settlement) return;
    await settle(() => settlement(message)).catch((error: unknown) =>
      say(
        "warning",
        `message ${String(message.messageId)} was not settled and will come again unless it is gone: ${reasonOf(error)}`,
      ),
    );
  }

  async function outcome(message: ServiceBusReceivedMessage) {
    try {
      await call(options, busFunction, dataOf(message, trigger), metadataOf(message));
      return completing ? (done: ServiceBusReceivedMessage) => receiver.completeMessage(done) : undefined;
    } catch (error) {
      say("error", `message ${String(message.messageId)}, delivery ${deliveryCountOf(message)}: ${reasonOf(error)}`);
      return (failed: ServiceBusReceivedMessage) => receiver.abandonMessage(failed);
    }
  }

  const subscription = receiver.subscribe(
    {
      async processMessage(message) {
        const handling = handle(message);
        running.add(handling);
        await handling.finally(() => running.delete(handling));
      },
      async processError({ error, errorSource }: ProcessErrorArgs) {
        say("warning", `${errorSource}: ${reasonOf(error)}`);
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

function receiverOf(
  client: ServiceBusClient,
  { entity, subscription }: Source,
  maxAutoLockRenewalDurationInMs: number,
): ServiceBusReceiver {
  const options = { receiveMode: "peekLock", skipParsingBodyAsJson: true, maxAutoLockRenewalDurationInMs } as const;
  return subscription === undefined
    ? client.createReceiver(entity, options)
    : client.createReceiver(entity, subscription, options);
}

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

/** The library parses a text that is JSON; a binary one only if the function asks for it. */
function dataOf({ body }: { body: unknown }, trigger: Binding): TypedData {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body ?? null));
  return trigger["dataType"] === "binary" ? { bytes } : { string: bytes.toString("utf8") };
}

/** The SDK counts deliveries from 0, Azure's trigger from 1. */
const deliveryCountOf = ({ deliveryCount = 0 }: ServiceBusReceivedMessage): number => deliveryCount + 1;

/** The names and types of the extension's binding data (azure-sdk-for-net, ServiceBusTriggerBindingStrategy.cs). */
function metadataOf(message: ServiceBusReceivedMessage): Record<string, TypedData> {
  const json = (value: unknown): TypedData | undefined => (value === undefined ? undefined : { json: JSON.stringify(value) });
  const text = (value: string | number | bigint | Buffer | undefined): TypedData | undefined =>
    value === undefined ? undefined : { string: String(value) };
  const properties = json(message.applicationProperties ?? {});
  const entries: [string, TypedData | undefined][] = [
    ["MessageId", text(message.messageId)],
    ["DeliveryCount", { int: deliveryCountOf(message) }],
    ["SequenceNumber", { int: Number(message.sequenceNumber) }],
    ["EnqueuedTimeUtc", json(message.enqueuedTimeUtc)],
    ["ExpiresAtUtc", json(message.expiresAtUtc)],
    ["ContentType", text(message.contentType)],
    ["CorrelationId", text(message.correlationId)],
    ["Subject", text(message.subject)],
    ["Label", text(message.subject)],
    ["To", text(message.to)],
    ["ReplyTo", text(message.replyTo)],
    ["LockToken", text(message.lockToken)],
    ["DeadLetterSource", text(message.deadLetterSource)],
    ["ApplicationProperties", properties],
    ["UserProperties", properties],
  ];
  return Object.fromEntries(entries.filter((entry): entry is [string, TypedData] => entry[1] !== undefined));
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
