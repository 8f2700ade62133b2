/** The storage account that holds our state: tables and blob containers, each opened and created at first use. */
import type { TokenCredential } from "@azure/identity";
import type { TableClient } from "@azure/data-tables";
import type { ContainerClient } from "@azure/storage-blob";

export interface StorageSettings {
  /** A storage account's name, reached with the credential, or a connection string. */
  connection: string;
  /** Domain of the account's endpoints; `core.windows.net` unless the cloud is a sovereign one. */
  suffix?: string;
}

export interface Storage {
  table(name: string): Promise<TableClient>;
  container(name: string): Promise<ContainerClient>;
}

// Handlers have a caller waiting, so the SDK's own retries stay few and quick; steps are retried by durable timers.
const retryOptions = { maxRetries: 2, retryDelayInMs: 100, maxRetryDelayInMs: 1000 };

/** The SDKs are loaded at first use: a cold start that only answers /healthz needs none of them. */
export function createStorage(
  { connection, suffix = "core.windows.net" }: StorageSettings,
  credential: TokenCredential,
): Storage {
  const byConnectionString = /[=;]/.test(connection);

  async function openTable(name: string): Promise<TableClient> {
    const { TableClient } = await import("@azure/data-tables");
    const options = { retryOptions };
    const client = byConnectionString
      ? TableClient.fromConnectionString(connection, name, { ...options, allowInsecureConnection: true })
      : new TableClient(`https://${connection}.table.${suffix}`, name, credential, options);
    await client.createTable(); // the SDK takes "exists already" for success
    return client;
  }

  async function openContainer(name: string): Promise<ContainerClient> {
    const { BlobServiceClient } = await import("@azure/storage-blob");
    const options = { retryOptions: { maxTries: retryOptions.maxRetries + 1 } };
    const service = byConnectionString
      ? BlobServiceClient.fromConnectionString(connection, options)
      : new BlobServiceClient(`https://${connection}.blob.${suffix}`, credential, options);
    const container = service.getContainerClient(name);
    await container.createIfNotExists();
    return container;
  }

  return { table: once(openTable), container: once(openContainer) };
}

/** Keeps what was opened; what failed to open is tried again at the next use. */
function once<Opened>(open: (name: string) => Promise<Opened>): (name: string) => Promise<Opened> {
  const opened = new Map<string, Promise<Opened>>();
  return (name) => {
    const known = opened.get(name);
    if (known) return known;
    const opening = open(name);
    opened.set(name, opening);
    opening.catch(() => opened.delete(name));
    return opening;
  };
}

/** No such blob, or none of its bytes are there. */
export function nothingThere(error: unknown): undefined {
  if (error instanceof Error && "statusCode" in error && (error.statusCode === 404 || error.statusCode === 416)) return undefined;
  throw error;
}
