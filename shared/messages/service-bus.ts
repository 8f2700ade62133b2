/** The one place where a Service Bus client is made: of a namespace's host and our credential, or of a connection string. */
import type { ServiceBusClient } from "@azure/service-bus";
import type { TokenCredential } from "@azure/identity";

/** The queues, as they are named in every namespace. */
export const queueNames = ["delisting", "notifications", "rotation"] as const;
export type QueueName = (typeof queueNames)[number];

export interface ServiceBusSettings {
  /** A namespace's host, reached with the credential, or a connection string. */
  connection: string;
  credential: TokenCredential;
}

export interface ServiceBus {
  client(): Promise<ServiceBusClient>;
  close(): Promise<void>;
}

// Handlers run again by message or timer, so the SDK's own retries stay few and quick.
const retryOptions = { maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 2000, timeoutInMs: 10_000 };

/** The SDK is loaded and the connection made at first use. */
export function createServiceBus({ connection, credential }: ServiceBusSettings): ServiceBus {
  let opened: Promise<ServiceBusClient> | undefined;

  async function open(): Promise<ServiceBusClient> {
    const { ServiceBusClient } = await import("@azure/service-bus");
    return connection.includes(";")
      ? new ServiceBusClient(connection, { retryOptions })
      : new ServiceBusClient(connection, credential, { retryOptions });
  }

  return {
    client: () => (opened ??= open()),
    async close() {
      const client = await opened;
      opened = undefined;
      await client?.close();
    },
  };
}
