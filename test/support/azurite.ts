/** A real Azurite for tests: one child process in memory, on ports of its own, for as long as the test run lasts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  AZURITE_ACCOUNT,
  AZURITE_KEY,
  azuriteCommand,
  azuriteConnectionString,
  freeAzuritePorts,
  untilAzuriteAnswers,
} from "../../infra/local/azurite.ts";
import { ownAccountOf } from "./own-account.ts";

export interface Azurite {
  connectionString: string;
  stop(): Promise<void>;
}

/** The one that everybody knows, and one for each test file of a run; a variable of the environment holds 128 KiB. */
const accounts = [AZURITE_ACCOUNT, ...Array.from({ length: 1000 }, (_, index) => ownAccountOf(String(index + 1)))]
  .map((name) => `${name}:${AZURITE_KEY}`)
  .join(";");

/** On other ports when somebody else took one of them in the meantime. */
export async function startAzurite(tries = 3): Promise<Azurite> {
  const ports = await freeAzuritePorts();
  const env = { ...process.env, AZURITE_ACCOUNTS: accounts };
  const child = spawn(process.execPath, azuriteCommand(ports, "memory"), { stdio: "ignore", env });
  const over = new AbortController();
  const ended = once(child, "exit").then(() => over.abort());
  const listening = untilAzuriteAnswers(ports, over.signal).then(
    () => true,
    () => false,
  );
  if (!(await listening)) {
    if (tries > 1) return startAzurite(tries - 1);
    throw new Error(`azurite ended with exit code ${child.exitCode}`);
  }
  return {
    connectionString: azuriteConnectionString(ports),
    stop: async () => {
      child.kill("SIGINT");
      await ended;
    },
  };
}
