/** Random orchestrations, each of which has one right answer: whatever the nesting, all complete with it, also when everything comes twice. */

import { EntityId, RetryOptions } from "durable-functions";
import type { EntityContext, OrchestrationContext, Task, TimerTask } from "durable-functions";
import { expect, test } from "vitest";
import { createRandom } from "../support/random.ts";
import { startEngine } from "./fixtures/engines.ts";
import type { TestedEngine } from "./fixtures/engines.ts";

/** `FUZZ_SEED=17` plays that one alone. */
const { FUZZ_SEED } = process.env;
const seeds = FUZZ_SEED === undefined ? Array.from({ length: 300 }, (_, index) => index + 1) : [Number(FUZZ_SEED)];

const DAY = 24 * 60 * 60 * 1000;

/** Something to wait for. */
type Part =
  | { kind: "activity"; value: number; milliseconds: number }
  /** It fails that many times first. */
  | { kind: "retry"; value: number; failures: number; key: string }
  | { kind: "timer"; milliseconds: number }
  | { kind: "sub"; plan: Step[]; version?: string }
  | { kind: "entity"; key: string }
  | { kind: "event"; name: string; value: number }
  | { kind: "all" | "any"; parts: Part[] };

type Step =
  | { kind: "wait"; part: Part }
  /** An activity that fails for good, whose error is caught. */
  | { kind: "failure"; retried: boolean }
  | { kind: "signal"; key: string }
  /** An activity against a timer that is cancelled. */
  | { kind: "deadline"; value: number }
  | { kind: "lock"; keys: string[] }
  | { kind: "status"; value: number };

interface Story {
  seed: number;
  round: number;
  rounds: number;
  plan: Step[];
}

function write(seed: number): Story {
  const random = createRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const keys = [0, 1].map((key) => `${seed}-${key}`);
  const rounds = below(4) === 0 ? 2 : 1;
  let names = 0;

  function part(depth: number, top: boolean): Part {
    const choice = below(depth > 0 ? 10 : 6);
    if (choice === 0) return { kind: "timer", milliseconds: below(5) === 0 ? 8 * DAY : below(5000) };
    if (choice === 1) return { kind: "retry", value: below(100), failures: below(3), key: `${seed}-${(names += 1)}` };
    if (choice === 2) return { kind: "entity", key: keys[below(2)] ?? "" };
    if (choice === 3 && top && rounds === 1) return { kind: "event", name: `Event${(names += 1)}`, value: below(100) };
    if (choice < 6) return { kind: "activity", value: below(100), milliseconds: below(3) * 700 };
    if (choice === 6) return { kind: "sub", plan: steps(depth - 1, false), ...(below(2) ? { version: "2" } : {}) };
    const parts = Array.from({ length: 1 + below(4) }, () => part(depth - 1, top));
    return { kind: choice === 9 ? "any" : "all", parts };
  }

  function step(depth: number, top: boolean): Step {
    const choice = below(12);
    if (choice === 0) return { kind: "failure", retried: below(2) === 0 };
    if (choice === 1) return { kind: "signal", key: keys[below(2)] ?? "" };
    if (choice === 2) return { kind: "deadline", value: below(100) };
    if (choice === 3) return { kind: "lock", keys: below(2) ? keys : keys.slice(1) };
    if (choice === 4) return { kind: "status", value: below(100) };
    return { kind: "wait", part: part(depth, top) };
  }

  const steps = (depth: number, top: boolean): Step[] => Array.from({ length: 1 + below(4) }, () => step(depth, top));
  return { seed, round: 1, rounds, plan: steps(3, true) };
}

// What a plan does

const after = (context: OrchestrationContext, milliseconds: number): Date =>
  new Date(context.df.currentUtcDateTime.getTime() + milliseconds);
const tally = (key: string): EntityId => new EntityId("tally", key);

function taskOf(context: OrchestrationContext, part: Part): Task {
  const { df } = context;
  switch (part.kind) {
    case "activity":
      return df.callActivity("give", part);
    case "retry":
      return df.callActivityWithRetry("failFirst", new RetryOptions(300, 4), { ...part, of: df.instanceId });
    case "timer":
      return df.createTimer(after(context, part.milliseconds));
    case "sub":
      return df.callSubOrchestrator("follow", part.plan, undefined, part.version);
    case "entity":
      return df.callEntity(tally(part.key), "add");
    case "event":
      return df.waitForExternalEvent(part.name);
    default: {
      const tasks = part.parts.map((each) => taskOf(context, each));
      return part.kind === "all" ? df.Task.all(tasks) : df.Task.any(tasks);
    }
  }
}

/** Which of several is first isn't part of the answer. */
function readable(part: Part, result: unknown): unknown {
  if (part.kind === "any") return "one of them";
  if (part.kind === "all") return part.parts.map((each, index) => readable(each, (result as unknown[])[index]));
  return part.kind === "timer" || part.kind === "entity" ? part.kind : result;
}

function* follow(context: OrchestrationContext, plan: Step[]): Generator<Task, unknown, unknown> {
  const results: unknown[] = [];
  for (const step of plan) results.push(yield* take(context, step));
  return results;
}

function* take(context: OrchestrationContext, step: Step): Generator<Task, unknown, unknown> {
  const { df } = context;
  if (step.kind === "wait") return readable(step.part, yield taskOf(context, step.part));
  if (step.kind === "signal") return df.signalEntity(tally(step.key), "add") ?? "signal";
  if (step.kind === "status") return df.setCustomStatus(step.value) ?? "status";
  if (step.kind === "failure") {
    try {
      yield step.retried ? df.callActivityWithRetry("fail", new RetryOptions(100, 2)) : df.callActivity("fail");
      return "no failure";
    } catch {
      return "failure";
    }
  }
  if (step.kind === "deadline") {
    const work = df.callActivity("give", { value: step.value, milliseconds: 0 });
    const deadline: TimerTask = df.createTimer(after(context, 5 * DAY));
    yield df.Task.any([work, deadline]);
    if (!deadline.isCompleted) deadline.cancel();
    return work.result;
  }
  const lock = (yield df.lock(step.keys.map(tally))) as { release(): void };
  const before = (yield df.callEntity(tally(step.keys[0] ?? ""), "get")) as number;
  yield df.callEntity(tally(step.keys[0] ?? ""), "add");
  const between = (yield df.callEntity(tally(step.keys[0] ?? ""), "get")) as number;
  lock.release();
  return between - before;
}

function* tell(context: OrchestrationContext): Generator<Task, unknown, unknown> {
  const story = context.df.getInput<Story>();
  const results = yield* follow(context, story.plan);
  if (story.round < story.rounds) context.df.continueAsNew({ ...story, round: story.round + 1 });
  return results;
}

// What comes of it

function answerOf(part: Part): unknown {
  if (part.kind === "sub") return answersOf(part.plan);
  if (part.kind === "all") return part.parts.map(answerOf);
  if (part.kind === "any") return "one of them";
  return "value" in part ? part.value : part.kind;
}

const answersOf = (plan: Step[]): unknown[] =>
  plan.map((step) => {
    if (step.kind === "wait") return answerOf(step.part);
    if (step.kind === "deadline") return step.value;
    return step.kind === "lock" ? 1 : step.kind;
  });

/** How often each entity is added to. */
function additions(plan: Step[]): string[] {
  const within = (part: Part): string[] => {
    if (part.kind === "entity") return [part.key];
    if (part.kind === "sub") return additions(part.plan);
    return "parts" in part ? part.parts.flatMap(within) : [];
  };
  return plan.flatMap((step) => {
    if (step.kind === "wait") return within(step.part);
    return step.kind === "signal" ? [step.key] : step.kind === "lock" ? step.keys.slice(0, 1) : [];
  });
}

function eventsIn(plan: Step[]): Extract<Part, { kind: "event" }>[] {
  const within = (part: Part): Extract<Part, { kind: "event" }>[] =>
    part.kind === "event" ? [part] : "parts" in part ? part.parts.flatMap(within) : [];
  return plan.flatMap((step) => (step.kind === "wait" ? within(step.part) : []));
}

async function startTelling(chaos: boolean): Promise<TestedEngine> {
  const attempts = new Map<string, number>();
  let sleep: (milliseconds: number) => Promise<void> = () => Promise.resolve();
  const activities = {
    give: async ({ value, milliseconds }: { value: number; milliseconds: number }) => {
      if (milliseconds > 0) await sleep(milliseconds);
      return value;
    },
    failFirst: ({ value, failures, key, of }: { value: number; failures: number; key: string; of: string }) => {
      const attempt = (attempts.get(`${of}/${key}`) ?? 0) + 1;
      attempts.set(`${of}/${key}`, attempt);
      if (attempt <= failures) throw new Error("not yet");
      return value;
    },
    fail: () => {
      throw new Error("never");
    },
  };
  const entities = {
    tally: ({ df }: EntityContext<unknown>) => {
      const count = df.getState(() => 0) as number;
      if (df.operationName === "add") df.setState(count + 1);
      else df.return(count);
    },
  };
  const orchestrators = { tell, follow: (context: OrchestrationContext) => follow(context, context.df.getInput<Step[]>()) };
  const engine = await startEngine({ orchestrators, activities, entities, chaos });
  sleep = engine.clock.sleep;
  return engine;
}

async function play({ engine, clock, entries }: TestedEngine, seed: number) {
  const story = write(seed);
  const instanceId = `story-${seed}`;
  const release = clock.hold();
  const random = createRandom(seed + 1000);
  engine.start("tell", { instanceId, input: story });
  for (const { name, value } of eventsIn(story.plan)) {
    const raise = (): void => {
      if (engine.getInstance(instanceId)?.output === null) engine.raiseEvent(instanceId, name, value);
    };
    clock.setTimer(clock.now() + random() * 2 * DAY, raise);
  }
  release();
  await clock.whenNothingIsLeft();
  const instance = engine.getInstance(instanceId);
  const warnings = entries.splice(0).filter(({ level }) => level === "warning" || level === "critical");
  const added = [0, 1].map((key) => engine.getEntity({ name: "tally", key: `${seed}-${key}` })?.state ?? null);
  const output: unknown = JSON.parse(instance?.output ?? "null");
  return { seed, status: instance?.status, output, added, warnings: warnings.map(({ message }) => message) };
}

function expected(seed: number) {
  const { plan, rounds } = write(seed);
  const all = additions(plan);
  const added = [0, 1].map((key) => all.filter((each) => each === `${seed}-${key}`).length * rounds);
  const states = added.map((count) => (count === 0 ? null : String(count)));
  return { seed, status: "Completed", output: answersOf(plan), added: states, warnings: [] };
}

test.each([false, true])(
  `${seeds.length} random orchestrations; all delivered twice: %s`,
  { timeout: 120_000 },
  async (chaos) => {
    const telling = await startTelling(chaos);
    for (const seed of seeds) expect(await play(telling, seed), `FUZZ_SEED=${seed}`).toEqual(expected(seed));
    telling.engine.close();
  },
);
