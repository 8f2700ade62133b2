/** Prints an access token for the API of a running local platform: `npm run --silent token -- [--data DIR] [--operator]`. */
import { parseArgs } from "node:util";
import { defaultData } from "./flags.ts";
import { runningPlatform, signIn } from "./running.ts";

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
  const { token } = await signIn(runningPlatform(values.data), values.operator ? "operator" : "partner", values.data);
  return token();
}
