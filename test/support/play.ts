/** Plays an orchestrator on the host's own engine, in memory and in virtual time, through the real durable-functions. */

import { readFileSync } from "node:fs";
import type { OrchestrationContext, Task } from "durable-functions";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import type { VirtualClock } from "../../infra/local/functions-host/clock.ts";
import { createEngine } from "../../infra/local/functions-host/engine.ts";
import { createApp, withApp } from "../../infra/local/functions-host/functions-core.ts";
import type { HistoryEvent } from "../../infra/local/functions-host/history.ts";
import type { LogEntry } from "../../infra/local/functions-host/log.ts";
import { openStore } from "../../infra/local/functions-host/store.ts";
import type { Attempts } from "../../shared/durable/admission.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import type { Orchestrator } from "../../shared/durable/routine.ts";

/** Any orchestrator, whatever its input. */
export type Playable = (context: OrchestrationContext, input: never) => Generator<Task, unknown, unknown>;

export interface PlayOptions<Input> {
  /** The one to start and those it calls, registered under their functions' names. `start` itself may be left out. */
  orchestrators?: readonly Playable[];
  /** Plain functions, by the name they are called by; they are registered as in the app. They may throw. */
  activities?: Record<string, (input: never) => unknown>;
  start: (context: OrchestrationContext, input: Input) => Generator<Task, unknown, unknown>;
  input: Input;
  instanceId?: string;
  /** What happens from outside while it plays, in virtual time since the start. */
  events?: readonly PlayedEvent[];
  /** For activities that take virtual time: they `await clock.sleep(…)`. */
  clock?: VirtualClock;
  /** How far an operation's attempts have come; by default no operation is known. */
  attemptsOf?: Attempts["attemptsOf"];
  /** Runs each activity a second time after it has succeeded, as a host may that is killed before it has noted the result. */
  repeatActivities?: boolean;
  /** Told of each episode after it: what the orchestrator was given and what it answered. */
  episode?: (episode: Episode) => void;
  /** That orchestrations are begun with; by default the app's own. */
  version?: string;
  /** Host's log, for tests about warnings. */
  log?: (entry: LogEntry) => void;
}

export interface Episode {
  orchestrator: string;
  instanceId: string;
  /** What the function was called with, its history included. */
  trigger: { history: HistoryEvent[]; input: unknown; parentInstanceId: string | null };
  /** Characters of JSON. */
  given: number;
  answered: number;
  /** Of the history, the new ones included, before the episode's own are added. */
  events: number;
  /** What the library and the orchestrator took. */
  milliseconds: number;
}

export interface PlayedEvent {
  afterInMilliseconds: number;
  name: string;
  data?: unknown;
  /** A sub-orchestration's; by default the started instance's. */
  instanceId?: string;
}

export interface Played {
  /** The orchestrator's output, if it completed. */
  result: unknown;
  /** Why it failed or was terminated. */
  error?: string;
  /** Virtual time from start to end. */
  elapsedInMilliseconds: number;
  /** Activities in the order they began; a generic one with the kind it was called for: `ensureResource inboundConnector`. */
  calls: string[];
  /** The unexpected errors of activities, which orchestrators see as InternalServerError only. */
  reported: { name: string; error: unknown }[];
}

const { extensions } = JSON.parse(readFileSync(new URL("../../host.json", import.meta.url), "utf8")) as {
  extensions: { durableTask: { defaultVersion: string } };
};
const VERSION = extensions.durableTask.defaultVersion;

/** @throws Error if the orchestration can't go on because it waits for an event that nobody sends */
export async function play<Input>(options: PlayOptions<Input>): Promise<Played> {
  const { start, input, instanceId = "played", events = [], activities = {}, log = () => undefined } = options;
  const clock = options.clock ?? createVirtualClock();
  const calls: string[] = [];
  const reported: Played["reported"] = [];

  const app = createApp({ log });
  await withApp(app, () => {
    for (const orchestrator of new Set<Playable>([start, ...(options.orchestrators ?? [])])) {
      registerOrchestrator(orchestrator as Orchestrator<unknown, unknown>);
    }
    registerActivities(recorded(activities, calls, options.repeatActivities ?? false), {
      reportFailure: (name, error) => void reported.push({ name, error }),
      stores: { operations: { attemptsOf: options.attemptsOf ?? (async () => undefined) } },
    });
  });
  if (options.episode) {
    app.hooks.preInvocation.push((call) => void ((call as Called).hookData.began = performance.now()));
    app.hooks.postInvocation.push(episodesFor(options.episode));
  }
  const store = openStore(":memory:");
  const maxConcurrentActivities = Number.POSITIVE_INFINITY;
  const engine = createEngine({ app, store, clock, log, maxConcurrentActivities, defaultVersion: options.version ?? VERSION });
  const timers: { cancel(): void }[] = [];
  try {
    const release = clock.hold();
    const began = clock.now();
    engine.begin();
    engine.start(start.name, { instanceId, input });
    const stuck = clock.whenNothingIsLeft().then(() => {
      throw new Error(`${start.name} waits for something that never comes`);
    });
    const raised = events.map(
      (event) =>
        new Promise<never>((_, reject) => {
          const raise = (): void => {
            try {
              engine.raiseEvent(event.instanceId ?? instanceId, event.name, event.data);
            } catch (error) {
              reject(error);
            }
          };
          timers.push(clock.setTimer(began + event.afterInMilliseconds, raise));
        }),
    );
    release();
    const { status, output } = await Promise.race([engine.whenFinished(instanceId), stuck, ...raised]);
    const value: unknown = output === null ? undefined : JSON.parse(output);
    const reason = typeof value === "string" ? value : status;
    const ended = status === "Completed" ? { result: value } : { result: undefined, error: reason };
    return { ...ended, elapsedInMilliseconds: clock.now() - began, calls, reported };
  } finally {
    for (const timer of timers) timer.cancel();
    engine.close();
  }
}

/** A hook of the worker's, which sees every call. */
const episodesFor = (told: (episode: Episode) => void) => (call: object) => {
  const { inputs, result, invocationContext, hookData } = call as Called;
  const ended = performance.now();
  const [trigger] = inputs;
  const { history, instanceId } = (trigger ?? {}) as { history?: unknown[]; instanceId?: string };
  if (history === undefined || instanceId === undefined) return;
  told({
    orchestrator: invocationContext.functionName,
    instanceId,
    trigger: trigger as Episode["trigger"],
    given: JSON.stringify(trigger).length,
    answered: (JSON.stringify(result) ?? "").length,
    events: history.length,
    milliseconds: ended - hookData.began,
  });
};

interface Called {
  inputs: unknown[];
  result: unknown;
  invocationContext: { functionName: string };
  /** The same for the hooks before and after a call. */
  hookData: { began: number };
}

function recorded(activities: Record<string, (input: never) => unknown>, calls: string[], repeat: boolean) {
  const entries = Object.entries(activities).map(([name, run]) => {
    const call = async (input: never): Promise<unknown> => {
      const { kind } = (input ?? {}) as { kind?: unknown };
      calls.push(typeof kind === "string" ? `${name} ${kind}` : name);
      const result = await run(input);
      return repeat ? run(input) : result;
    };
    return [name, call] as const;
  });
  return Object.fromEntries(entries);
}
