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
  /** Multiplies modelled durations; infra/local/settings.json's where it isn't given. */
  tempo?: number;
  /** Of the app, instead of those of the same name in infra/local/settings.json. */
  settings: Record<string, string>;
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
  --tempo N       multiplies what takes its time in the clouds: 1 as modelled, 0 at once (default 0.1)
  --set NAME=VALUE
                  a setting of the app, instead of infra/local/settings.json's; may be given several times
  --help          this text`;

/** Throws an error whose message is for the person at the terminal. */
export function parseFlags(argv: string[]): Flags | "help" {
  const { values } = readArguments(argv);
  if (values.help) return "help";
  const { once, idle, fresh, ask, story, data, tenant, set, tempo } = values;
  if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535)
    throw new Error(`--port ${values.port}: must be a number from 0 to 65535`);
  if (tempo !== undefined && !/^\d+(\.\d+)?$/.test(tempo)) throw new Error(`--tempo ${tempo}: must be a number such as 0.01`);
  if (idle && tenant.length > 0) throw new Error("--idle onboards none, --tenant names one: give only one of them");
  if (story && (idle || ask || tenant.length > 0))
    throw new Error("--story plays the example tenant and everybody around it: leave --tenant, --idle and --ask out");
  const tenants = idle || story ? [] : tenant.length > 0 ? tenant : [ofProject("examples/contoso.json")];
  const settings = Object.fromEntries(set.map(settingOf));
  const port = Number(values.port);
  return { once, idle, fresh, ask, story, port, data, settings, tenants, ...(tempo !== undefined && { tempo: Number(tempo) }) };
}

function settingOf(given: string): [name: string, value: string] {
  const [, name, value] = /^([A-Z][A-Z_]*)=(.*)$/.exec(given) ?? [];
  if (name === undefined || value === undefined) throw new Error(`--set ${given}: must be such as PROBE_INTERVAL=PT1S`);
  return [name, value];
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
        tempo: { type: "string" },
        set: { type: "string", multiple: true, default: [] },
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
