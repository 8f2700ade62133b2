/** Prints an access token for the API of a running local platform: `npm run --silent token`. */
import { parseArgs } from "node:util";
import { defaultData } from "./flags.ts";
import { runningPlatform, signIn } from "./running.ts";

const usage = `Prints an access token for the API of a platform that npm start keeps running; it is good for an hour.

  TOKEN=$(npm run --silent token)                 as the partner northwind
  TOKEN=$(npm run --silent token -- --operator)   as an operator of Gatehouse

Flags:
  --data DIR    the platform's folder (default .local/)
  --help        this text`;

try {
  process.stdout.write(`${await answer(process.argv.slice(2))}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function answer(args: string[]): Promise<string> {
  const { values } = parseArgs({
    args,
    options: {
      data: { type: "string", default: defaultData },
      operator: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return usage;
  const { token } = await signIn(runningPlatform(values.data), values.operator ? "operator" : "partner", values.data);
  return token();
}
