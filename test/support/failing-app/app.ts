/** The whole app, with a hook of the worker's before each activity, by which a test makes one of them fail or kills its host. */
import path from "node:path";
import { pathToFileURL } from "node:url";
import { app, type PreInvocationContext } from "@azure/functions";
import { failing } from "../failing.ts";

/** Evaluated anew for each host, as functions/index.ts is when it is loaded by itself. */
const loads = ((globalThis as { failingAppLoads?: number }).failingAppLoads ?? 0) + 1;
(globalThis as { failingAppLoads?: number }).failingAppLoads = loads;

app.hook.preInvocation((context: PreInvocationContext) => {
  const run = context.functionHandler as (...given: unknown[]) => unknown;
  const name = context.invocationContext.functionName;
  context.functionHandler = (input: unknown, ...rest: unknown[]) => failing(loads, name, input, async () => run(input, ...rest));
});

const index = pathToFileURL(path.resolve("functions/index.ts")).href;
await import(`${index}?failing=${loads}`);
