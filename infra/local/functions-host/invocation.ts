/** One call of a function, in the order of Azure's Node worker (InvocationHandler.ts): arguments, hooks, function, hooks, response. */

import { randomUUID } from "node:crypto";
import { requireProgrammingModel } from "./functions-core.ts";
import type { Binding, FunctionApp, Hook, InvocationResponse, RegisteredFunction, TypedData } from "./functions-core.ts";
import type { LogEntry, LogLevel } from "./log.ts";

export interface InvocationOptions {
  triggerMetadata?: Record<string, TypedData>;
  /** What an input other than the trigger gets, for example the durable client. */
  input?: (binding: Binding) => TypedData | undefined;
  /** From the second try of one and the same call on. */
  retryContext?: RetryContext | undefined;
}

export interface RetryContext {
  retryCount: number;
  maxRetryCount: number;
  exception: { message: string; stackTrace: string };
}

export interface InvocationResult {
  invocationId: string;
  /** The library's InvocationContext of this call. */
  context: object;
  returnValue: TypedData | undefined;
}

/** A function threw: `cause` is what it threw. */
export class InvocationFailure extends Error {
  readonly context: object;

  constructor(functionName: string, context: object, cause: unknown) {
    super(`function '${functionName}' failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "InvocationFailure";
    this.context = context;
  }

  /** What the function threw, as an Error. */
  get error(): Error {
    return this.cause instanceof Error ? this.cause : new Error(String(this.cause));
  }
}

/** @throws InvocationFailure if the function throws, or takes longer than it may */
export async function invoke(
  app: FunctionApp,
  called: RegisteredFunction,
  triggerData: TypedData,
  options: InvocationOptions = {},
): Promise<InvocationResult> {
  const { timeLimit } = app;
  const call = run(app, called, triggerData, options);
  if (!timeLimit) return call;
  const { milliseconds, text, clock, exceeded } = timeLimit;
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(clock.now() + milliseconds, () => {
      // FunctionTimeoutException.cs of azure-webjobs-sdk.
      const cause = new Error(`Timeout value of ${text} was exceeded by function: ${called.name}`);
      reject(new InvocationFailure(called.name, {}, cause));
      exceeded(called.name);
    });
    call.then(resolve, reject).finally(() => timer.cancel());
  });
}

async function run(
  app: FunctionApp,
  { name, bindings, trigger, callback }: RegisteredFunction,
  triggerData: TypedData,
  options: InvocationOptions,
): Promise<InvocationResult> {
  const invocationId = randomUUID();
  const inputData = [{ name: trigger.name, data: triggerData }];
  for (const [bindingName, binding] of Object.entries(bindings)) {
    const data = binding.direction === "in" && bindingName !== trigger.name ? options.input?.(binding) : undefined;
    if (data) inputData.push({ name: bindingName, data });
  }
  const call = {
    invocationId,
    metadata: { name, bindings, functionId: name },
    request: {
      invocationId,
      functionId: name,
      inputData,
      triggerMetadata: options.triggerMetadata ?? {},
      traceContext: traceOf(invocationId),
      ...(options.retryContext ? { retryContext: options.retryContext } : {}),
    },
    state: undefined as string | undefined,
    log: (level: LogLevel, category: string, message: string) => {
      const entry = {
        level,
        category: `Function.${name}${category === "user" ? ".User" : ""}`,
        message,
        functionName: name,
        invocationId,
      };
      app.log(throughLogHooks(app, entry, context));
    },
  };
  let context: object = {};

  const model = requireProgrammingModel().getInvocationModel(call);
  const prepared = await model.getArguments();
  context = prepared.context;
  const shared = { hookData: {}, appHookData: app.hookData, invocationContext: context };

  call.state = "preInvocationHooks";
  const before = { ...shared, functionCallback: callback, inputs: prepared.inputs };
  await runHooks(app.hooks.preInvocation, before);

  call.state = "invocation";
  const after: { inputs: unknown[]; result: unknown; error: unknown } = {
    ...shared,
    inputs: before.inputs,
    result: null,
    error: null,
  };
  try {
    after.result = await model.invokeFunction(context, before.inputs, before.functionCallback);
  } catch (error) {
    after.error = error ?? new Error(`function '${name}' threw ${String(error)}`);
  }

  call.state = "postInvocationHooks";
  await runHooks(app.hooks.postInvocation, after);
  call.state = undefined;
  if (after.error) throw new InvocationFailure(name, context, after.error);
  const response = await model.getResponse(context, after.result);
  await sendOutputs(app, bindings, response);
  return { invocationId, context, returnValue: response.returnValue ?? undefined };
}

/** What leads elsewhere than back to the trigger; a call whose output can't be sent has failed. */
async function sendOutputs(
  app: FunctionApp,
  bindings: Record<string, Binding>,
  { returnValue, outputData = [] }: InvocationResponse,
): Promise<void> {
  const outputs = returnValue ? [...outputData, { name: "$return", data: returnValue }] : outputData;
  for (const { name, data } of outputs) {
    const binding = bindings[name];
    if (binding?.direction === "out" && binding.type.toLowerCase() !== "http") await app.send?.(binding, data);
  }
}

/** The value that a function gave back, read as the host reads it. */
export function valueOf(data: TypedData | undefined): unknown {
  if (data?.json !== undefined) return JSON.parse(data.json);
  if (data?.bytes !== undefined) return Buffer.from(data.bytes).toString();
  return data?.string ?? data?.int ?? data?.double;
}

export async function runHooks(hooks: Hook[], context: object): Promise<void> {
  for (const hook of hooks) await hook(context);
}

/** Log hooks may change level and message. */
function throughLogHooks(app: FunctionApp, entry: LogEntry, invocationContext: object): LogEntry {
  if (app.hooks.log.length === 0) return entry;
  const category = entry.category.endsWith(".User") ? "user" : "system";
  const seen = {
    level: entry.level,
    message: entry.message,
    category,
    hookData: {},
    appHookData: app.hookData,
    invocationContext,
  };
  for (const hook of app.hooks.log) hook(seen);
  return { ...entry, level: seen.level, message: seen.message };
}

/** A W3C trace parent of its own for every call: the host traces nothing across calls. */
function traceOf(invocationId: string): object {
  const id = invocationId.replaceAll("-", "");
  return { traceParent: `00-${id}-${id.slice(0, 16)}-00`, traceState: "", attributes: {} };
}
