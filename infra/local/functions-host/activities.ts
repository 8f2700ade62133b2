/** Runs activities, some at a time, and gives back the event that says how each ended. */

import type { HostClock } from "./clock.ts";
import type { FunctionTable } from "./function-table.ts";
import type { FunctionApp } from "./functions-core.ts";
import { EventType, historyEvent, toJson } from "./history.ts";
import type { FailureDetails, HistoryEvent } from "./history.ts";
import type { HttpCall } from "./actions.ts";
import { HTTP_ACTIVITY, runHttpActivity } from "./http-activity.ts";
import { InvocationFailure, invoke, valueOf } from "./invocation.ts";
import type { Log } from "./log.ts";
import type { ActivityTask } from "./store.ts";

export interface ActivityOptions {
  app: FunctionApp;
  functions: FunctionTable;
  clock: HostClock;
  log: Log;
  /** How many may run at once. */
  concurrency: number;
  /** Runs each a second time: now as if the host had been killed before it had the first result, now as if the call had come twice. */
  twice: boolean;
  completed: (task: ActivityTask, event: HistoryEvent) => void;
}

export type Activities = ReturnType<typeof createActivities>;

export function createActivities(options: ActivityOptions) {
  const waiting: ActivityTask[] = [];
  const running = new Set<Promise<void>>();
  let runs = 0;
  let stopped = false;

  function runNext(): void {
    while (running.size < options.concurrency) {
      const task = stopped ? undefined : waiting.shift();
      if (!task) return;
      const run = runHolding(task).finally(() => {
        running.delete(run);
        runNext();
      });
      running.add(run);
    }
  }

  async function runHolding(task: ActivityTask): Promise<void> {
    const release = options.clock.hold();
    try {
      const first = await runActivity(options, task);
      runs += 1;
      // Both happen in Azure, and tell apart what isn't safe to repeat: at once, or when the orchestration has gone on.
      if (!options.twice || runs % 2 === 0) options.completed(task, first);
      if (options.twice) options.completed(task, await runActivity(options, task));
    } finally {
      release();
    }
  }

  return {
    add(tasks: ActivityTask[]): void {
      waiting.push(...tasks);
      runNext();
    },
    /** Begins no further ones; resolves when those that run have ended. */
    async stop(): Promise<void> {
      stopped = true;
      await Promise.all(running);
    },
  };
}

async function runActivity({ app, functions, clock, log }: ActivityOptions, task: ActivityTask): Promise<HistoryEvent> {
  const { name, taskId } = task;
  const ended = (type: EventType, fields: Partial<HistoryEvent>): HistoryEvent =>
    historyEvent(type, clock.now(), { ...fields, TaskScheduledId: taskId });
  try {
    if (name === HTTP_ACTIVITY) {
      const [request] = JSON.parse(task.input) as [HttpCall];
      return ended(EventType.TaskCompleted, { Result: JSON.stringify(await runHttpActivity(request)) });
    }
    const activity = functions.activity(name);
    if (!activity) throw new Error("the function doesn't exist any more");
    const [input] = JSON.parse(task.input) as [unknown];
    // A string travels raw, and the library parses it as JSON if it can: "123" arrives as a number, in Azure too.
    const data = { string: typeof input === "string" ? input : JSON.stringify(input) };
    const triggerMetadata = { instanceId: { string: task.instanceId }, data: { json: JSON.stringify(input) } };
    const { returnValue } = await invoke(app, activity, data, { triggerMetadata });
    return ended(EventType.TaskCompleted, { Result: toJson(valueOf(returnValue)) });
  } catch (error) {
    const cause = error instanceof InvocationFailure ? error.error : (error as Error);
    const failureDetails = failureDetailsIn(cause);
    const message = failureDetails?.ErrorMessage ?? cause.message;
    log({
      level: "error",
      category: `Function.${name}`,
      functionName: name,
      message: `${task.instanceId}: ${message}\n${cause.stack ?? ""}`,
    });
    return ended(EventType.TaskFailed, {
      Reason: `Activity function '${name}' failed:  ${message}`,
      Details: cause.stack ?? "",
      ...(failureDetails ? { FailureDetails: failureDetails } : {}),
    });
  }
}

/** An app with an exceptionPropertiesProvider throws errors whose message is this JSON (durable-functions, wrapActivityHandler). */
function failureDetailsIn({ message }: Error): FailureDetails | undefined {
  if (!message.startsWith("{")) return undefined;
  let parsed: { errorType?: string; errorMessage?: string; stackTrace?: string; isNonRetriable?: boolean; properties?: unknown };
  try {
    parsed = JSON.parse(message) as typeof parsed;
  } catch {
    return undefined;
  }
  if (parsed.errorType === undefined || parsed.errorMessage === undefined) return undefined;
  return {
    ErrorType: parsed.errorType,
    ErrorMessage: parsed.errorMessage,
    StackTrace: parsed.stackTrace,
    IsNonRetriable: parsed.isNonRetriable ?? false,
    Properties: parsed.properties,
  };
}
