/** The command line of `npm start`. */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

export interface Flags {
  once: boolean;
  idle: boolean;
  fresh: boolean;
  ask: boolean;
  story: boolean;
  port: number;
  data: string;
  tenants: string[];
}

const ofProject = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The project's own folder, wherever the command is run. */
export const defaultData = ofProject(".local");

/** Of examples/contoso.json. */
export const exampleTenant = "contoso";

export const usage = `Gatehouse on this machine: the app, simulated Azure and Microsoft 365, storage and mail. Nothing leaves this machine.

  npm start                          start all of it and onboard the example tenant; it stays until Ctrl+C
  npm start -- --once                end after the onboarding: exit code 0 when it succeeded, 1 when not
  npm start -- --once --story        play the example tenant's whole life under mail: exit code 0 when no mail came to harm

Flags, after \`--\`:
  --tenant FILE   onboard the tenant of this file instead of examples/contoso.json; may be given several times
  --idle          onboard none
  --once          end after the onboarding
  --story         its whole life instead, from the plan to where nothing is left of it, with a message a second
  --ask           leave the customer's administrator's part (the consent page) to you
  --fresh         forget what earlier runs left behind
  --port N        port of the API (default 7071; 0 picks a free one)
  --data DIR      where state is kept (default .local/)
  --help          this text`;

/** Throws an error whose message is for the person at the terminal. */
export function parseFlags(argv: string[]): Flags | "help" {
  const { values } = readArguments(argv);
  if (values.help) return "help";
  const { once, idle, fresh, ask, story, data, tenant } = values;
  if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535)
    throw new Error(`--port ${values.port}: must be a number from 0 to 65535`);
  if (idle && tenant.length > 0) throw new Error("--idle onboards none, --tenant names one: give only one of them");
  if (story && (idle || ask || tenant.length > 0))
    throw new Error("--story plays the example tenant and everybody around it: leave --tenant, --idle and --ask out");
  const tenants = idle || story ? [] : tenant.length > 0 ? tenant : [ofProject("examples/contoso.json")];
  return { once, idle, fresh, ask, story, port: Number(values.port), data, tenants };
}

function readArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        once: { type: "boolean", default: false },
        idle: { type: "boolean", default: false },
        fresh: { type: "boolean", default: false },
        ask: { type: "boolean", default: false },
        story: { type: "boolean", default: false },
        port: { type: "string", default: "7071" },
        data: { type: "string", default: defaultData },
        tenant: { type: "string", multiple: true, default: [] },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    // Node's own advice about "--" is of no use to somebody who mistyped a flag.
    const message =
      error instanceof Error ? error.message.replace(/\. To specify a positional argument.*$/su, "") : String(error);
    throw new Error(message, { cause: error });
  }
}
