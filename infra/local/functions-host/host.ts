/** The host: loads an app, provides its triggers, and keeps its durable state in one file. */

import path from "node:path";
import { createAdministration } from "./administration.ts";
import { loadApp } from "./app-loader.ts";
import { createSystemClock, waitReally } from "./clock.ts";
import type { HostClock } from "./clock.ts";
import { clientBinding, createDurableApi } from "./durable-http.ts";
import { createEngine } from "./engine.ts";
import type { Engine } from "./engine.ts";
import { createApp, FunctionsSystemError } from "./functions-core.ts";
import type { Binding, FunctionApp, RegisteredFunction, TypedData } from "./functions-core.ts";
import { createHostApi } from "./host-api.ts";
import { readHostSettings } from "./host-settings.ts";
import { listen } from "./http-server.ts";
import type { HttpServer, Respond } from "./http-server.ts";
import { createHttpTrigger } from "./http-trigger.ts";
import { runHooks } from "./invocation.ts";
import { createAuthorization, DURABLE_KEY, openKeys } from "./keys.ts";
import type { Keys } from "./keys.ts";
import { filterLog, logToStandardError } from "./log.ts";
import type { Log } from "./log.ts";
import { createClients } from "./service-bus-entity.ts";
import { createServiceBusOutput, SERVICE_BUS_OUTPUT } from "./service-bus-output.ts";
import { createServiceBusTrigger } from "./service-bus-trigger.ts";
import { openStore } from "./store.ts";
import { createTimers } from "./timer-trigger.ts";

export interface HostOptions {
  /** Holds package.json and host.json. By default the working directory. */
  appDirectory?: string;
  /** Path of the durable state, or `:memory:`. */
  stateFile: string;
  clock?: HostClock;
  /** 0 picks a free one. */
  port: number;
  /** Interface for HTTP functions; by default loopback. */
  hostname?: string;
  log?: Log;
  /** Function keys are checked, as in Azure; without it none is, as under Core Tools. */
  auth?: boolean;
  /** Milliseconds for which the history of a finished orchestration is kept; by default until it is purged, as in Azure. */
  historyRetention?: number | undefined;
  /** Delivers twice whatever Azure may deliver twice: the app's effects have to bear it. */
  chaos?: boolean;
  /** A call took longer than host.json's functionTimeout, and has failed. Azure ends the worker then, since nothing else ends the code. */
  timedOut?: (functionName: string) => void;
}

export interface Host {
  /** Base of the HTTP functions, without a slash at the end. */
  url: string;
  /** Base of the durable API and of `admin/functions/{name}` without keys, on loopback only, with a slash at the end. */
  managementUrl: string;
  /** With `auth`; they are in the file beside the state as well. */
  keys: Keys | undefined;
  engine: Engine;
  /** Takes no more requests and messages, lets what runs end for up to 10 seconds, and closes the state file. */
  stop(): Promise<void>;
}

/** The triggers this host has. */
const TRIGGERS = new Set([
  "httptrigger",
  "timertrigger",
  "servicebustrigger",
  "orchestrationtrigger",
  "activitytrigger",
  "entitytrigger",
]);
const INPUTS = new Set(["durableclient", "orchestrationclient"]);
const OUTPUTS = new Set(["http", SERVICE_BUS_OUTPUT]);

const LOOPBACK = "127.0.0.1";
const GRACE_IN_MILLISECONDS = 10_000;

/** @throws FunctionsSystemError for an app that this host can't run as Azure would */
export async function createHost(options: HostOptions): Promise<Host> {
  const directory = path.resolve(options.appDirectory ?? ".");
  const settings = readHostSettings(directory);
  const log = filterLog(options.log ?? logToStandardError, settings.logLevels);
  for (const line of settings.ignored) log({ level: "information", category: "Host.Startup", message: `host.json: ${line}` });

  const store = openStore(options.stateFile);
  const servers: HttpServer[] = [];
  try {
    return await startHost();
  } catch (error) {
    for (const server of servers) {
      void server.stop();
      server.close();
    }
    store.close();
    throw error;
  }

  async function startHost(): Promise<Host> {
    const hostname = options.hostname ?? LOOPBACK;
    const app = createApp({ directory, log });
    // Requests that come before everything is there wait for it.
    const { promise: handlers, resolve: open } = Promise.withResolvers<{ http: Respond; management: Respond }>();
    handlers.catch(() => undefined);
    const http = await listen(options.port, hostname, async (request, response) => (await handlers).http(request, response));
    servers.push(http);
    const management = await listen(0, LOOPBACK, async (request, response) => (await handlers).management(request, response));
    servers.push(management);
    const url = `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${http.port}`;
    const managementUrl = `http://${LOOPBACK}:${management.port}/`;
    // Without it, or with 0.0.0.0 in it, durable-functions takes localhost:7071 for every link (getClient.js).
    const address = `${hostname === "0.0.0.0" ? "localhost" : hostname}:${http.port}`;
    process.env["WEBSITE_HOSTNAME"] = address;

    await loadApp(app);
    refuseUnknownBindings(app);
    for (const line of ignoredRetriesOf(app)) log({ level: "information", category: "Host.Startup", message: line });
    const { clock = createSystemClock(), chaos = false, historyRetention } = options;
    const { functionTimeout } = settings;
    if (functionTimeout) app.timeLimit = { ...functionTimeout, clock, exceeded: (name) => options.timedOut?.(name) };
    const engine = createEngine({ ...settings, app, store, clock, log, chaos, historyRetention });
    const functions = functionsWith(app, "httptrigger");
    const names = functions.map(({ name }) => name);
    const keys = options.auth ? openKeys(keyFile(options.stateFile), names) : undefined;
    const client = clientBinding(settings.hubName, managementUrl, `http://${address}/`, keys?.system[DURABLE_KEY]);
    const clientData = { string: JSON.stringify(client) };
    const input = ({ type }: Binding): TypedData | undefined => (INPUTS.has(type.toLowerCase()) ? clientData : undefined);
    const durableApi = createDurableApi(engine, client.managementUrls);
    const timers = createTimers({ app, functions: functionsWith(app, "timertrigger"), store, clock, log, input, chaos });
    const clients = createClients();
    const serviceBus = createServiceBusTrigger({
      app,
      functions: functionsWith(app, "servicebustrigger"),
      settings: settings.serviceBus,
      clients,
      clock,
      log,
      input,
      chaos,
    });
    app.send = createServiceBusOutput(app, clients);
    const failed = (name: string, error: unknown): void =>
      log({ level: "error", category: `Function.${name}`, functionName: name, message: String(error) });
    const hostId = settings.hubName.toLowerCase();
    const administration = createAdministration({ functions: app.functions, timers, serviceBus, url, hostId, failed });
    const authorization = createAuthorization(keys);
    const hostApi = createHostApi({ durableApi, administration, authorization });
    const respond = createHttpTrigger({ app, functions, routePrefix: settings.routePrefix, authorization, input });
    engine.begin();
    open({
      http: holding(clock, async (request, response) => {
        if (!(await hostApi.respondOnAppAddress(request, response))) await respond(request, response);
      }),
      management: hostApi.respondOnLoopback,
    });
    timers.begin();
    await serviceBus.begin();
    log({
      level: "information",
      category: "Host.Startup",
      message: `${app.functions.size} functions at ${url}, durable API at ${managementUrl}`,
    });

    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      // The durable API stays until the last request is answered, for it may still start an orchestration.
      const calls = [http.stop(), timers.stop(), serviceBus.stop(), administration.stop()];
      const ended = Promise.all(calls).then(() => engine.stop());
      await Promise.race([ended, waitReally(GRACE_IN_MILLISECONDS)]);
      await runHooks(app.hooks.appTerminate, { hookData: {}, appHookData: app.hookData });
      void management.stop();
      for (const server of servers) server.close();
      clients.close();
      timers.close();
      engine.close();
    };
    return { url, managementUrl, keys, engine, stop: () => (stopping ??= stop()) };
  }
}

/** Beside the state, and for its owner's eyes only. */
export const keyFile = (stateFile: string): string | undefined =>
  stateFile === ":memory:" ? undefined : `${stateFile}.keys.json`;

/** What Azure would run and this host wouldn't is an error at start, not a function that never runs. */
function refuseUnknownBindings({ functions }: FunctionApp): void {
  for (const { name, bindings, trigger } of functions.values()) {
    if (!TRIGGERS.has(trigger.type.toLowerCase())) {
      throw new FunctionsSystemError(`function '${name}' has a trigger that this host doesn't know: ${trigger.type}`);
    }
    for (const [bindingName, { type, direction }] of Object.entries(bindings)) {
      const known = direction === "in" ? INPUTS : OUTPUTS;
      if (bindingName === trigger.name || known.has(type.toLowerCase())) continue;
      throw new FunctionsSystemError(`function '${name}' has an ${direction}put that this host doesn't know: ${type}`);
    }
  }
}

/** In Azure, too, only timers and streams are tried again by the host. */
const ignoredRetriesOf = ({ functions }: FunctionApp): string[] =>
  [...functions.values()].flatMap(({ name, trigger, retry }) => {
    const type = trigger.type.toLowerCase();
    if (!retry || type === "timertrigger") return [];
    const why =
      type === "servicebustrigger"
        ? "a message that fails comes again until its deliveries are used up"
        : "only timers are tried again";
    return [`function '${name}': retry has no effect: ${why}`];
  });

const functionsWith = ({ functions }: FunctionApp, triggerType: string): RegisteredFunction[] =>
  [...functions.values()].filter(({ trigger }) => trigger.type.toLowerCase() === triggerType);

/** Virtual time stands still while a request is answered. */
const holding =
  (clock: HostClock, respond: Respond): Respond =>
  async (request, response) => {
    const release = clock.hold();
    try {
      await respond(request, response);
    } finally {
      release();
    }
  };
