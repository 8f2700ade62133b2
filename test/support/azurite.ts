/** A real Azurite for tests: one child process in memory, on ports of its own, for as long as the test run lasts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { azuriteCommand, azuriteConnectionString, freeAzuritePorts, untilAzuriteAnswers } from "../../infra/local/azurite.ts";

export interface Azurite {
  connectionString: string;
  stop(): Promise<void>;
}

export async function startAzurite(): Promise<Azurite> {
  const ports = await freeAzuritePorts();
  const child = spawn(process.execPath, azuriteCommand(ports, "memory"), { stdio: "ignore" });
  const ended = once(child, "exit");
  const listening = untilAzuriteAnswers(ports).then(() => "listening");
  if ((await Promise.race([listening, ended.then(() => "ended")])) === "ended")
    throw new Error(`azurite ended with exit code ${child.exitCode}`);
  return {
    connectionString: azuriteConnectionString(ports),
    stop: async () => {
      child.kill("SIGINT");
      await ended;
    },
  };
}
