/** A real Azurite for tests: one child process in memory, on ports of its own, for as long as the test run lasts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

export interface Azurite {
  connectionString: string;
  stop(): Promise<void>;
}

/** Azurite's published development account; no secret. */
const ACCOUNT = "devstoreaccount1";
const KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

export async function startAzurite(): Promise<Azurite> {
  const [blob = 0, queue = 0, table = 0] = await freePorts(3);
  const script = createRequire(import.meta.url).resolve("azurite/dist/src/azurite.js");
  const child = spawn(
    process.execPath,
    [
      script,
      "--inMemoryPersistence",
      "--disableTelemetry",
      "--skipApiVersionCheck",
      "--silent",
      `--blobPort=${blob}`,
      `--queuePort=${queue}`,
      `--tablePort=${table}`,
    ],
    { stdio: "ignore" },
  );
  const ended = once(child, "exit");
  const listening = Promise.all([blob, table].map(untilListening)).then(() => "listening");
  if ((await Promise.race([listening, ended.then(() => "ended")])) === "ended")
    throw new Error(`azurite ended with exit code ${child.exitCode}`);
  return {
    connectionString: [
      "DefaultEndpointsProtocol=http",
      `AccountName=${ACCOUNT}`,
      `AccountKey=${KEY}`,
      `BlobEndpoint=http://127.0.0.1:${blob}/${ACCOUNT}`,
      `QueueEndpoint=http://127.0.0.1:${queue}/${ACCOUNT}`,
      `TableEndpoint=http://127.0.0.1:${table}/${ACCOUNT}`,
      "",
    ].join(";"),
    stop: async () => {
      child.kill("SIGINT"); // Azurite's table service ignores SIGTERM
      await ended;
    },
  };
}

/** With --silent Azurite doesn't say which ports port 0 became, so they are picked here. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

async function untilListening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const opened = await once(socket, "connect").then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (opened) return;
    await pause(50);
  }
}
