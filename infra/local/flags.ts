/** The command line of `npm start`. */
import { parseArgs } from "node:util";

export interface Flags {
  once: boolean;
  idle: boolean;
  fresh: boolean;
  ask: boolean;
  port: number;
  data: string;
  tenants: string[];
}

export const usage = `Gatehouse on this machine: the app, simulated Azure and Microsoft 365, storage and mail. Nothing leaves this machine.

  npm start                          start all of it and onboard the example tenant
  npm start -- --once                end after the onboarding: exit code 0 when it succeeded, 1 when not

Flags, after \`--\`:
  --tenant FILE   onboard the tenant of this file instead of examples/contoso.json; may be given several times
  --idle          onboard none
  --once          end after the onboarding
  --ask           leave the customer's administrator's part (the consent page) to you
  --fresh         forget what earlier runs left behind
  --port N        port of the API (default 7071; 0 picks a free one)
  --data DIR      where state is kept (default .local/)
  --help          this text`;

/** Throws an error whose message is for the person at the terminal. */
export function parseFlags(argv: string[]): Flags | "help" {
  const { values } = parseArgs({
    args: argv,
    options: {
      once: { type: "boolean", default: false },
      idle: { type: "boolean", default: false },
      fresh: { type: "boolean", default: false },
      ask: { type: "boolean", default: false },
      port: { type: "string", default: "7071" },
      data: { type: "string", default: ".local" },
      tenant: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65_535)
    throw new Error(`--port ${values.port}: must be a number from 0 to 65535`);
  if (values.idle && values.tenant.length > 0) throw new Error("--idle onboards none, --tenant names one: give only one of them");
  if (values.idle && values.once) throw new Error("--idle stays, --once ends: give only one of them");
  return {
    once: values.once,
    idle: values.idle,
    fresh: values.fresh,
    ask: values.ask,
    port: Number(values.port),
    data: values.data,
    tenants: values.idle ? [] : values.tenant.length > 0 ? values.tenant : ["examples/contoso.json"],
  };
}
