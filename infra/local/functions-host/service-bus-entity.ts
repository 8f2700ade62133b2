/** Which queue or topic a trigger or output means, and the clients that reach it: one for each connection. */

import type { ServiceBusClient } from "@azure/service-bus";
import type { Binding, RegisteredFunction } from "./functions-core.ts";
import { FunctionsSystemError } from "./functions-core.ts";
import { expandSettings } from "./host-settings.ts";

export interface Entity {
  connection: string;
  /** A queue's or topic's name. */
  name: string;
  subscription: string | undefined;
}

/** @throws FunctionsSystemError for what leads nowhere, so that it shows at start */
export function entityOf({ name: functionName }: Pick<RegisteredFunction, "name">, binding: Binding): Entity {
  const refused = (why: string): FunctionsSystemError => new FunctionsSystemError(`function '${functionName}' ${why}`);
  const text = (option: string): string | undefined => {
    const value = binding[option];
    return typeof value === "string" ? expandSettings(value, `function '${functionName}'`) : undefined;
  };
  const name = text("queueName") ?? text("topicName");
  if (name === undefined) throw refused("names no queue or topic");
  const subscription = text("subscriptionName");
  const listens = binding.direction === "in";
  if (listens && text("queueName") === undefined && subscription === undefined)
    throw refused("names no subscription of its topic");
  return { connection: connectionOf(text("connection") ?? "AzureWebJobsServiceBus", refused), name, subscription };
}

/** The setting may have the prefix that all of the host's own settings may have. */
function connectionOf(setting: string, refused: (why: string) => Error): string {
  const connection = process.env[setting] ?? process.env[`AzureWebJobs${setting}`];
  if (connection?.includes(";")) return connection;
  throw refused(`needs a connection string of Service Bus in the setting ${setting}; identities are for Azure`);
}

export type Clients = ReturnType<typeof createClients>;

/** A broker that is away is asked again within seconds. */
const retryOptions = { maxRetries: 3, retryDelayInMs: 500, maxRetryDelayInMs: 2000, timeoutInMs: 10_000 };

export function createClients() {
  const clients = new Map<string, ServiceBusClient>();
  return {
    /** The SDK is loaded when somebody needs it. */
    async get({ connection }: Entity): Promise<ServiceBusClient> {
      const { ServiceBusClient: Client } = await import("@azure/service-bus");
      const client = clients.get(connection) ?? new Client(connection, { retryOptions });
      clients.set(connection, client);
      return client;
    },
    /** What isn't settled now comes back when its lock has expired. */
    close(): void {
      for (const client of clients.values()) void client.close().catch(() => undefined);
    },
  };
}

export function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
