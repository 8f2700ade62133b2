/** The module `@azure/functions-core`, which Azure's Node worker gives to @azure/functions: functions and hooks are registered here. */

import Module from "node:module";
import type { HostClock } from "./clock.ts";
import type { Log, LogLevel } from "./log.ts";

/** A trigger, input or output as the library declares it; further options depend on the type. */
export interface Binding {
  type: string;
  direction: "in" | "out";
  [option: string]: unknown;
}

export interface RegisteredFunction {
  name: string;
  bindings: Record<string, Binding>;
  trigger: Binding & { name: string };
  callback: (...inputs: unknown[]) => unknown;
  retry?: RetryOptions;
}

/** As the library hands it over, in whole seconds (toRpcDuration.ts). */
export interface RetryOptions {
  retryStrategy: "fixedDelay" | "exponentialBackoff";
  /** -1 is for ever. */
  maxRetryCount: number;
  delayInterval?: { seconds: number };
  minimumInterval?: { seconds: number };
  maximumInterval?: { seconds: number };
}

export type HookName = "preInvocation" | "postInvocation" | "appStart" | "appTerminate" | "log";
export type Hook = (context: object) => unknown;

/** What one app has registered. A process may hold several: each host and each played orchestration has its own. */
export interface FunctionApp {
  directory: string;
  functions: Map<string, RegisteredFunction>;
  hooks: Record<HookName, Hook[]>;
  /** Shared by all hooks of the app, the library's `appHookData`. */
  hookData: object;
  /** After start nothing may be registered any more, as in Azure. */
  locked: boolean;
  log: Log;
  /** How long a call may take; without it, as long as it likes. */
  timeLimit?: TimeLimit;
  /** Where an output other than an HTTP answer goes, before the call counts as done. */
  send?: (binding: Binding, data: TypedData) => Promise<void>;
}

export interface TimeLimit {
  milliseconds: number;
  /** As host.json writes it. */
  text: string;
  clock: HostClock;
  /** A call has taken longer, and failed; what it does goes on as long as the process does. */
  exceeded: (functionName: string) => void;
}

export const createApp = (options: { directory?: string; log: Log }): FunctionApp => ({
  directory: options.directory ?? process.cwd(),
  functions: new Map(),
  hooks: { preInvocation: [], postInvocation: [], appStart: [], appTerminate: [], log: [] },
  hookData: {},
  locked: false,
  log: options.log,
});

/** The library's own half of an invocation (InvocationModel.ts of @azure/functions). */
export interface InvocationModel {
  getArguments(): Promise<{ context: object; inputs: unknown[] }>;
  invokeFunction(context: object, inputs: unknown[], callback: RegisteredFunction["callback"]): Promise<unknown>;
  getResponse(context: object, result: unknown): Promise<InvocationResponse>;
}

export interface InvocationResponse {
  returnValue?: TypedData | null;
  outputData?: { name: string; data: TypedData }[];
}

interface ProgrammingModel {
  getInvocationModel(context: object): InvocationModel;
  getCapabilities(capabilities: Record<string, string>): Promise<Record<string, string>>;
}

/** The worker protocol's RpcTypedData, as far as our triggers use it. */
export interface TypedData {
  string?: string;
  collectionString?: { string: string[] };
  collectionBytes?: { bytes: Uint8Array[] };
  json?: string;
  bytes?: Uint8Array;
  int?: number;
  double?: number;
  http?: HttpData;
}

type Nullable = Record<string, { value: string }>;

export interface HttpData {
  method?: string;
  url?: string;
  nullableHeaders?: Nullable;
  nullableParams?: Nullable;
  nullableQuery?: Nullable;
  statusCode?: string;
  headers?: Record<string, string>;
  cookies?: RpcCookie[];
  body?: TypedData | null;
}

export interface RpcCookie {
  name: string;
  value: string;
  domain?: { value: string };
  path?: { value: string };
  expires?: { value: { seconds: number } };
  secure?: { value: boolean };
  httpOnly?: { value: boolean };
  sameSite?: string;
  maxAge?: { value: number };
}

/** The library looks for this name to tell the host's refusals from an app's own errors. */
export class FunctionsSystemError extends Error {
  readonly isAzureFunctionsSystemError = true;

  constructor(message: string, name = "FunctionsSystemError") {
    super(message);
    this.name = name;
  }
}

class Disposable {
  readonly dispose: () => unknown;

  constructor(dispose: () => unknown) {
    this.dispose = dispose;
  }

  static from(...disposables: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => disposables.map((each) => each.dispose()));
  }
}

let registering: FunctionApp | undefined;
let programmingModel: ProgrammingModel | undefined;

/** Everything the libraries register until `register` has ended belongs to `app`. Apps take turns, since the library registers into the process. */
export function withApp<Result>(app: FunctionApp, register: () => Result | Promise<Result>): Promise<Result> {
  installFunctionsCore();
  const turn = lastTurn.then(async () => {
    registering = app;
    try {
      return await register();
    } finally {
      registering = undefined;
    }
  });
  lastTurn = turn.catch(() => undefined);
  return turn;
}

let lastTurn: Promise<unknown> = Promise.resolve();

/** The library sets its model when it registers its first function. */
export function requireProgrammingModel(): ProgrammingModel {
  if (!programmingModel) throw new FunctionsSystemError("the app registered no function");
  return programmingModel;
}

function currentApp(what: string): FunctionApp {
  if (!registering || registering.locked) throw new FunctionsSystemError(`A ${what} can only be registered during app startup.`);
  return registering;
}

interface FunctionMetadata {
  name: string;
  bindings: Record<string, Binding>;
  retryOptions?: RetryOptions;
}

/** Whose behaviour is modelled. */
export const HOST_VERSION = "4.1036.0";
const WORKER_VERSION = "3.10.1";

const functionsCore = {
  version: WORKER_VERSION,
  hostVersion: HOST_VERSION,
  Disposable,
  setProgrammingModel(model: ProgrammingModel): void {
    programmingModel = model;
  },
  getProgrammingModel: () => programmingModel,
  log(level: LogLevel, category: string, message: string): void {
    registering?.log({ level, category: category === "user" ? "Worker.User" : "Worker", message });
  },
  registerHook(name: string, hook: Hook): Disposable {
    const hooks: Record<string, Hook[]> = currentApp("hook").hooks;
    const list = hooks[name];
    if (!list) throw new FunctionsSystemError(`Unrecognized hook "${name}"`, "RangeError");
    list.push(hook);
    return new Disposable(() => list.splice(list.indexOf(hook), 1));
  },
  registerFunction({ name, bindings, retryOptions }: FunctionMetadata, callback: RegisteredFunction["callback"]): Disposable {
    const { functions } = currentApp("function");
    // One name space for activities, orchestrators, HTTP functions and all others; the real host ignores case in it.
    if ([...functions.keys()].some((taken) => taken.toLowerCase() === name.toLowerCase())) {
      throw new FunctionsSystemError(`A function with id "${name}" has already been registered.`);
    }
    const [trigger] = Object.entries(bindings).filter(([, { type }]) => type.toLowerCase().endsWith("trigger"));
    if (!trigger) throw new FunctionsSystemError(`Function "${name}" has no trigger.`);
    const retry = retryOptions ? { retry: retryOptions } : {};
    functions.set(name, { name, bindings, callback, trigger: { ...trigger[1], name: trigger[0] }, ...retry });
    return new Disposable(() => functions.delete(name));
  },
};

let installed = false;

/** Azure's worker provides the module in the same way (azure-functions-nodejs-worker, src/setupCoreModule.ts). */
export function installFunctionsCore(): void {
  if (installed) return;
  installed = true;
  const original: (this: Module, id: string) => unknown = Reflect.get(Module.prototype, "require");
  const provide = function (this: Module, id: string): unknown {
    return id === "@azure/functions-core" ? functionsCore : original.call(this, id);
  };
  Reflect.set(Module.prototype, "require", provide);
}
