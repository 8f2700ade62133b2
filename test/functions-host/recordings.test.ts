/**
 * Our orchestrators against recordings of their histories: given an old history, today's code decides what it decided then. What differs
 * here would fail an operation that is under way when the code is deployed. `UPDATE_RECORDINGS=1` records anew, then `npm run format`.
 */

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { createApp, withApp } from "../../infra/local/functions-host/functions-core.ts";
import type { FunctionApp } from "../../infra/local/functions-host/functions-core.ts";
import { createFunctionTable } from "../../infra/local/functions-host/function-table.ts";
import { EventType } from "../../infra/local/functions-host/history.ts";
import type { HistoryEvent } from "../../infra/local/functions-host/history.ts";
import { callOrchestrator } from "../../infra/local/functions-host/orchestrator-call.ts";
import { replay } from "../../infra/local/functions-host/replay.ts";
import type { Decision, Outcome } from "../../infra/local/functions-host/replay.ts";
import type { Instance } from "../../infra/local/functions-host/store.ts";
import { registerOrchestrator } from "../../shared/durable/register.ts";
import type { Orchestrator } from "../../shared/durable/routine.ts";
import { play } from "../support/play.ts";
import type { Episode, PlayOptions } from "../support/play.ts";
import { stories } from "./fixtures/stories.ts";

/** One execution of one instance. */
interface Recording {
  orchestrator: string;
  instanceId: string;
  parentInstanceId: string | null;
  input: unknown;
  history: HistoryEvent[];
  /** What each episode decided on. */
  decided: string[][];
}

const fileOf = (story: string): string => path.join(import.meta.dirname, "recordings", `${story}.json`);

const SCHEDULED = new Set<EventType>([
  EventType.TaskScheduled,
  EventType.TimerCreated,
  EventType.SubOrchestrationInstanceCreated,
  EventType.EventSent,
]);

const executionOf = ({ history }: { history: HistoryEvent[] }): string =>
  history.find(({ OrchestrationInstance }) => OrchestrationInstance)?.OrchestrationInstance?.ExecutionId ?? "";

/** The histories that each episode was given: up to its own news, without what it decided on. */
function givenIn(history: HistoryEvent[]): HistoryEvent[][] {
  const begins = history.flatMap(({ EventType: type }, index) => (type === EventType.OrchestratorStarted ? [index] : []));
  return begins.map((begin) => {
    const length = history
      .slice(begin)
      .findIndex(({ EventType: type }) => SCHEDULED.has(type) || type === EventType.OrchestratorCompleted);
    return history.slice(0, length < 0 ? history.length : begin + length);
  });
}

/** In words that stay the same when only the details of an activity's input change. */
function wordsFor(decision: Decision): string {
  if (decision.kind === "timer") return `${decision.id} timer ${new Date(decision.fireAt).toISOString()}`;
  if (decision.kind === "message") return `${decision.id} message ${decision.name} ${decision.target}`;
  if (decision.kind === "subOrchestration") return `${decision.id} ${decision.name} as ${decision.instanceId}`;
  const [input] = JSON.parse(decision.input) as [{ kind?: string; step?: string } | null];
  return [decision.id, decision.name, input?.kind, input?.step].filter((word) => word !== undefined).join(" ");
}

async function appOf({ start, orchestrators = [] }: Pick<PlayOptions<unknown>, "start" | "orchestrators">): Promise<FunctionApp> {
  const app = createApp({ log: () => undefined });
  await withApp(app, () => {
    for (const orchestrator of new Set([start, ...orchestrators]))
      registerOrchestrator(orchestrator as Orchestrator<unknown, unknown>);
  });
  return app;
}

/** What today's code makes of a history. */
async function decide(app: FunctionApp, recording: Omit<Recording, "decided">, given: HistoryEvent[]): Promise<Outcome> {
  const { orchestrator: name, instanceId, parentInstanceId, input } = recording;
  const executionId = executionOf(recording);
  const orchestrator = createFunctionTable(app).orchestrator(name);
  if (!orchestrator) throw new Error(`the recording has an orchestrator that nobody has: ${name}`);
  const parent = parentInstanceId === null ? undefined : { id: parentInstanceId, executionId: "", taskId: 0 };
  const fresh = { version: undefined, status: "Running", output: null, customStatus: null, createdAt: 0, updatedAt: 0 } as const;
  const instance: Instance = { ...fresh, id: instanceId, executionId, name, input: JSON.stringify(input ?? null), parent };
  const begin = given.findLastIndex(({ EventType: type }) => type === EventType.OrchestratorStarted);
  const answer = await callOrchestrator(app, orchestrator, instance, given.slice(0, begin), given.slice(begin));
  if ("broken" in answer) throw new Error(answer.broken);
  return replay({ instanceId, executionId, name, state: answer.state, events: given, knows: () => true });
}

async function record(story: PlayOptions<never>): Promise<Recording[]> {
  const latest = new Map<string, Episode>();
  const episode = (each: Episode): void => void latest.set(executionOf(each.trigger), structuredClone(each));
  const { error } = await play<never>({ ...story, episode });
  if (error !== undefined) throw new Error(error);
  const app = await appOf(story as unknown as PlayOptions<unknown>);
  const recordings: Recording[] = [];
  for (const { orchestrator, instanceId, trigger } of latest.values()) {
    const { history, input, parentInstanceId } = JSON.parse(JSON.stringify(trigger)) as Episode["trigger"];
    const one = { orchestrator, instanceId, parentInstanceId, input, history };
    const outcomes = await Promise.all(givenIn(history).map((given) => decide(app, one, given)));
    // The decisions tell of the inputs what matters.
    const lean = history.map((event) => (event.EventType === EventType.TaskScheduled ? { ...event, Input: "" } : event));
    recordings.push({ ...one, history: lean, decided: outcomes.map(({ decisions }) => decisions.map(wordsFor)) });
  }
  let text = JSON.stringify(recordings, null, 1);
  for (const [index, execution] of [...latest.keys()].entries()) text = text.replaceAll(execution, `execution-${index + 1}`);
  return JSON.parse(text) as Recording[];
}

describe.each(Object.entries(stories))("%s", (name, story) => {
  const options = story() as unknown as PlayOptions<never>;

  test.runIf(process.env["UPDATE_RECORDINGS"] === "1")("is recorded", async () => {
    writeFileSync(fileOf(name), `${JSON.stringify(await record(options), null, 1)}\n`);
  });

  test("decides as recorded, whichever episode it is in", async () => {
    const recordings = JSON.parse(readFileSync(fileOf(name), "utf8")) as Recording[];
    const app = await appOf(options as unknown as PlayOptions<unknown>);
    for (const recording of recordings) {
      const decided: string[][] = [];
      for (const given of givenIn(recording.history)) {
        const { decisions, completion } = await decide(app, recording, given);
        expect(completion).not.toMatchObject({ status: "Failed" });
        decided.push(decisions.map(wordsFor));
      }
      expect(decided, `${recording.instanceId} of ${recording.orchestrator}`).toEqual(recording.decided);
    }
  });
});
