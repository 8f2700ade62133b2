/** Azurite, Microsoft's storage emulator: how it is started here, on which ports, and when it answers. */
import { once } from "node:events";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

export interface AzuritePorts {
  blob: number;
  queue: number;
  table: number;
}

/** Azurite's account is public knowledge: its name and key stand in Microsoft's documentation. */
export const AZURITE_ACCOUNT = "devstoreaccount1";
export const AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/** Arguments for Node. State is kept in the folder `location`, which may be "memory". Stop it by SIGINT: its table service ignores SIGTERM. */
export const azuriteCommand = ({ blob, queue, table }: AzuritePorts, location: string): string[] => [
  createRequire(import.meta.url).resolve("azurite/dist/src/azurite.js"),
  `--blobPort=${blob}`,
  `--queuePort=${queue}`,
  `--tablePort=${table}`,
  "--silent",
  "--disableTelemetry",
  "--skipApiVersionCheck",
  ...(location === "memory" ? ["--inMemoryPersistence"] : ["--location", location]),
];

export const azuriteConnectionString = ({ blob, queue, table }: AzuritePorts): string =>
  [
    "DefaultEndpointsProtocol=http",
    `AccountName=${AZURITE_ACCOUNT}`,
    `AccountKey=${AZURITE_KEY}`,
    `BlobEndpoint=http://127.0.0.1:${blob}/${AZURITE_ACCOUNT}`,
    `QueueEndpoint=http://127.0.0.1:${queue}/${AZURITE_ACCOUNT}`,
    `TableEndpoint=http://127.0.0.1:${table}/${AZURITE_ACCOUNT}`,
    "",
  ].join(";");

/** Rejects when `ended` says that nobody will answer any more. */
export const untilAzuriteAnswers = async ({ blob, table }: AzuritePorts, ended?: AbortSignal): Promise<void> => {
  await Promise.all([blob, table].map((port) => untilListening(port, ended)));
};

export async function freeAzuritePorts(): Promise<AzuritePorts> {
  const [blob = 0, queue = 0, table = 0] = await freePorts(3);
  return { blob, queue, table };
}

/** Different ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

async function untilListening(port: number, ended?: AbortSignal): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const opened = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (opened) return;
    await pause(50, undefined, ended ? { signal: ended } : {});
  }
}
