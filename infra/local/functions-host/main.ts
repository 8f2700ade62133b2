/** The command line of the functions host. */

import { parseArgs } from "node:util";
import { FunctionsSystemError } from "./functions-core.ts";
import { createHost } from "./host.ts";

const HELP = `Runs an Azure Functions app on this machine.

  node infra/local/functions-host/main.ts [--app DIR] [--port N] [--hostname H] [--state FILE]
                                          [--keep-history DAYS] [--auth] [--chaos]

  --app DIR      folder with the app's package.json and host.json (default: .)
  --port N       port of the HTTP functions; 0 picks a free one (default: 7071)
  --hostname H   interface of the HTTP functions (default: 127.0.0.1)
  --state FILE   SQLite file with the durable state, or :memory: (default: .local/durable.sqlite)
  --keep-history DAYS
                 forgets the histories of orchestrations that finished longer ago (default: when they are purged)
  --auth         checks function keys as Azure does; they are in FILE.keys.json
  --chaos        runs every activity twice, and delivers every result, event and timer twice, as Azure may
  --help         this text

Prints one line of JSON when it is ready: {"ready":true,"url":"…","managementUrl":"…"}. Logs go to standard error.
SIGINT or SIGTERM lets running functions end for up to 10 seconds; a second one ends it at once.
A function that takes longer than host.json's functionTimeout ends it in the same way, with exit code 1: start it again.
`;

const { values } = parseArgs({
  options: {
    app: { type: "string", default: "." },
    port: { type: "string", default: "7071" },
    hostname: { type: "string", default: "127.0.0.1" },
    state: { type: "string", default: ".local/durable.sqlite" },
    "keep-history": { type: "string" },
    auth: { type: "boolean", default: false },
    chaos: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else await run();

async function run(): Promise<void> {
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) refuse(new FunctionsSystemError(`--port ${values.port} is no port`));
  const { app: appDirectory, state: stateFile, hostname, auth, chaos } = values;
  if (auth && stateFile === ":memory:")
    refuse(new FunctionsSystemError("--auth needs a --state FILE: its keys are kept beside it"));
  const days = values["keep-history"];
  if (days !== undefined && !(Number(days) >= 0)) refuse(new FunctionsSystemError(`--keep-history ${days} is no number of days`));
  const historyRetention = days === undefined ? undefined : Number(days) * 24 * 60 * 60 * 1000;
  const timedOut = (): void => stop(1);
  const host = await createHost({ appDirectory, stateFile, port, hostname, auth, chaos, historyRetention, timedOut }).catch(
    refuse,
  );
  let stopping = false;
  function stop(exitCode: number): void {
    stopping = true;
    void host.stop().then(() => process.exit(exitCode));
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => (stopping ? process.exit(1) : stop(0)));
  process.stdout.write(`${JSON.stringify({ ready: true, url: host.url, managementUrl: host.managementUrl })}\n`);
}

function refuse(error: unknown): never {
  const text = error instanceof FunctionsSystemError ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`${text}\n`);
  process.exit(1);
}
