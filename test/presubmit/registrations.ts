/** What the app registers when it is loaded as Azure loads it, with the settings of the sample: which also shows that the sample boots. */
import { createApp, type RegisteredFunction } from "../../infra/local/functions-host/functions-core.ts";
import { loadApp } from "../../infra/local/functions-host/app-loader.ts";
import { read, root } from "./sources.ts";

export interface Registration extends RegisteredFunction {
  /** Folder in `functions/` whose code registered it; undefined for what functions/index.ts registers for all. */
  capability: string | undefined;
}

export const sampleSettings = (): Record<string, string> => JSON.parse(read("local.settings.sample.json")).Values;

export async function registrations(): Promise<Registration[]> {
  Object.assign(process.env, sampleSettings());
  const app = createApp({ directory: root, log: () => undefined });
  const registered: Registration[] = [];
  app.functions = new Registrations(registered);
  await loadApp(app);
  return registered.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Notes, for each function, the capability on whose behalf it is being registered. */
class Registrations extends Map<string, RegisteredFunction> {
  readonly #list: Registration[];

  constructor(list: Registration[]) {
    super();
    this.#list = list;
  }

  override set(name: string, registered: RegisteredFunction): this {
    this.#list.push({ ...registered, capability: callingCapability() });
    return super.set(name, registered);
  }
}

function callingCapability(): string | undefined {
  const usual = Error.stackTraceLimit;
  Error.stackTraceLimit = 50; // the libraries' own frames lie between
  const { stack = "" } = new Error("where");
  Error.stackTraceLimit = usual;
  const [, frame] = stack.split(`${root}/functions/`);
  return frame?.includes("/") ? /^([a-z-]+)\/[a-z-]+\.ts/.exec(frame)?.[1] : undefined;
}

export interface RegisteredRoute {
  name: string;
  method: string;
  /** With its leading slash. */
  path: string;
  capability: string | undefined;
}

export const routesOf = (list: Registration[]): RegisteredRoute[] =>
  list
    .filter(({ trigger }) => trigger.type === "httpTrigger")
    .flatMap(({ name, trigger, capability }) =>
      (trigger["methods"] as string[]).map((method) => ({
        name,
        method: method.toUpperCase(),
        path: `/${String(trigger["route"])}`,
        capability,
      })),
    );
