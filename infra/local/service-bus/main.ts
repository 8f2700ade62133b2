/** The process of the message broker: prints one line of JSON when ready, and runs until it is told to stop. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createServiceBus, type QueueOptions, type TopicOptions } from "./service-bus.ts";

const usage = `Azure Service Bus on this machine.

  node infra/local/service-bus/main.ts [--data DIR] [--port N] [--queues FILE] [--topics FILE]

  --data DIR     keep messages, ports and key there, and find them again; without it nothing is kept
  --port N       port of AMQP (default: the one of the last start, or a free one)
  --queues FILE  JSON array of queues, with the names of Azure Resource Manager's properties (default: queues.json beside this file)
  --topics FILE  JSON array of topics, with their subscriptions (default: none)
  --help         this text

When ready it prints one line of JSON: ready, pid, connectionString, port, control. Logs go to standard error.`;

try {
  const { values } = parseArgs({
    options: {
      data: { type: "string" },
      port: { type: "string" },
      queues: { type: "string" },
      topics: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) process.stdout.write(`${usage}\n`);
  else await run(values);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

interface Flags {
  data?: string;
  port?: string;
  queues?: string;
  topics?: string;
}

async function run({ data, port, queues, topics }: Flags): Promise<void> {
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535))
    throw new Error(`--port ${port}: must be a number from 0 to 65535`);
  const bus = await createServiceBus({
    queues: JSON.parse(readFileSync(queues ?? new URL("./queues.json", import.meta.url), "utf8")) as QueueOptions[],
    ...(topics === undefined ? {} : { topics: JSON.parse(readFileSync(topics, "utf8")) as TopicOptions[] }),
    ...(data === undefined ? {} : { directory: data }),
    ...(port === undefined ? {} : { port: Number(port) }),
  });
  let stopping = false;
  const end = (): void => {
    if (stopping) process.exit(1);
    stopping = true;
    void bus.stop().then(() => process.exit(0));
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  const { connectionString, port: amqpPort, control } = bus;
  process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, connectionString, port: amqpPort, control })}\n`);
}
