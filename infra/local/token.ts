/** Prints an access token for the API of a running local platform: `npm run --silent token -- [--data DIR] [--operator]`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { parseArgs } from "node:util";
import { defaultData } from "./flags.ts";
import type { ApiCredentials } from "./platform.ts";
import { connectionLost } from "./through-restarts.ts";
import { tokenSource } from "./tokens.ts";

try {
  process.stdout.write(`${await tokenOf(process.argv.slice(2))}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function tokenOf(args: string[]): Promise<string> {
  const { values } = parseArgs({
    args,
    options: { data: { type: "string", default: defaultData }, operator: { type: "boolean", default: false } },
  });
  const file = join(values.data, "endpoints.json");
  const notRunning = (cause: unknown): never => {
    throw new Error(`no platform is running on ${values.data}: start one with npm start, or name its folder with --data DIR`, {
      cause,
    });
  };
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    return notRunning(error);
  }
  const { ca, clients } = JSON.parse(text) as { ca: string; clients: ApiCredentials[] };
  setDefaultCACertificates([...getCACertificates("default"), readFileSync(ca, "utf8")]);
  const role = values.operator ? "operator" : "partner";
  const client = clients.find((one) => one.role === role);
  if (!client) throw new Error(`${file} names no ${role}`);
  return tokenSource(client)().catch((error: unknown) => (connectionLost(error) ? notRunning(error) : Promise.reject(error)));
}
