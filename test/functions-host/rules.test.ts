/** The extension's rules that an orchestrator can feel: what keeps it open, who gets an event, what a retry does, what changed code brings about. */

import { EntityId, RetryOptions } from "durable-functions";
import type { OrchestrationContext, Task } from "durable-functions";
import { describe, expect, test } from "vitest";
import { EventType } from "../../infra/local/functions-host/history.ts";
import { openStore } from "../../infra/local/functions-host/store.ts";
import { startEngine } from "./fixtures/engines.ts";
import type { TestedEngine, TestedFunctions } from "./fixtures/engines.ts";

type Steps = Generator<Task, unknown, unknown>;
type Orchestrator = (context: OrchestrationContext) => Steps;

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;

const after = (context: OrchestrationContext, milliseconds: number): Date =>
  new Date(context.df.currentUtcDateTime.getTime() + milliseconds);

const basics: TestedFunctions["activities"] = {
  echo: (value: unknown) => value,
  fail: (message: string) => {
    throw new Error(message);
  },
};

const start = (orchestrators: Record<string, Orchestrator>, more: Partial<TestedFunctions> = {}): Promise<TestedEngine> =>
  startEngine({ ...more, orchestrators, activities: { ...basics, ...more.activities } });

/** Its status and output, and when it ended in seconds since the start. */
async function run({ engine, clock }: TestedEngine, name: string, input?: unknown) {
  const began = clock.now();
  const { status, output } = await engine.whenFinished(engine.start(name, { instanceId: name, input }));
  const seconds = (clock.now() - began) / SECOND;
  return { status, output: JSON.parse(output ?? "null") as unknown, seconds };
}

const typesIn = ({ engine }: TestedEngine, id: string): EventType[] => engine.getHistory(id).map(({ EventType: type }) => type);

describe("an orchestration isn't complete while a task is open", () => {
  function* racing(context: OrchestrationContext): Steps {
    const timer = context.df.createTimer(after(context, 60 * SECOND));
    yield context.df.Task.any([context.df.callActivity("echo", 1), timer]);
    if (context.df.getInput()) timer.cancel();
    return "first";
  }
  test("such as a timer that lost", async () => {
    expect(await run(await start({ racing }), "racing", false)).toEqual({ status: "Completed", output: "first", seconds: 60 });
  });
  test("unless it was cancelled", async () => {
    expect(await run(await start({ racing }), "racing", true)).toEqual({ status: "Completed", output: "first", seconds: 0 });
  });
  test("such as an activity that lost", async () => {
    function* losing(context: OrchestrationContext): Steps {
      const slow = context.df.callActivity("slow");
      yield context.df.Task.any([context.df.callActivity("echo", 1), slow]);
      return "first";
    }
    let sleep: (milliseconds: number) => Promise<void> = () => Promise.resolve();
    const host = await start({ losing }, { activities: { slow: () => sleep(300 * SECOND) } });
    sleep = host.clock.sleep;
    expect(await run(host, "losing")).toEqual({ status: "Completed", output: "first", seconds: 300 });
  });
});

describe("events", () => {
  test("go to the latest of several waits for their name", async () => {
    function* waiting(context: OrchestrationContext): Steps {
      const waits = [1, 2].map(() => context.df.waitForExternalEvent("Word"));
      return yield context.df.Task.all(waits);
    }
    const host = await start({ waiting });
    const release = host.clock.hold();
    host.engine.start("waiting", { instanceId: "waiting" });
    for (const word of ["first", "second"]) host.engine.raiseEvent("waiting", "Word", word);
    release();
    expect((await host.engine.whenFinished("waiting")).output).toBe('["second","first"]');
  });

  test("that nobody waited for are gone after continueAsNew", async () => {
    function* twice(context: OrchestrationContext): Steps {
      if (context.df.getInput() === 1) {
        yield context.df.createTimer(after(context, 10 * SECOND));
        context.df.continueAsNew(2);
        return undefined;
      }
      const timer = context.df.createTimer(after(context, 60 * SECOND));
      const word = context.df.waitForExternalEvent("Word");
      const first = yield context.df.Task.any([word, timer]);
      timer.cancel();
      return first === word ? word.result : "nothing";
    }
    const host = await start({ twice });
    const send = (seconds: number, word: string) =>
      host.clock.setTimer(host.clock.now() + seconds * SECOND, () => host.engine.raiseEvent("twice", "Word", word));
    send(5, "early");
    send(20, "in time");
    expect(await run(host, "twice", 1)).toEqual({ status: "Completed", output: "in time", seconds: 20 });
  });
});

test("a string that is the input of continueAsNew arrives in quotes", async () => {
  function* again(context: OrchestrationContext): Steps {
    const input = context.df.getInput<string>();
    if (input !== "first") return input;
    yield context.df.callActivity("echo");
    context.df.continueAsNew("a");
    return undefined;
  }
  expect(await run(await start({ again }), "again", "first")).toMatchObject({ output: '"a"' });
});

test("a custom status has 16 KB of UTF-16 and no more", async () => {
  function* talking(context: OrchestrationContext): Steps {
    const length = context.df.getInput<number>();
    context.df.setCustomStatus("x".repeat(length));
    return yield context.df.callActivity("echo", "done");
  }
  expect(await run(await start({ talking }), "talking", 8190)).toMatchObject({ status: "Completed", output: "done" });
  const output = "the custom status has 16386 bytes of UTF-16, more than 16 KB";
  expect(await run(await start({ talking }), "talking", 8191)).toMatchObject({ status: "Failed", output });
});

test("a terminated orchestration's sub-orchestrations go on, and their results are dropped", async () => {
  function* child(context: OrchestrationContext): Steps {
    yield context.df.createTimer(after(context, 60 * SECOND));
    return "grown up";
  }
  function* parent(context: OrchestrationContext): Steps {
    return yield context.df.callSubOrchestrator("child", null, "the-child");
  }
  const host = await start({ parent, child });
  host.clock.setTimer(host.clock.now() + SECOND, () => host.engine.terminate("parent", "enough"));
  expect(await run(host, "parent")).toEqual({ status: "Terminated", output: "enough", seconds: 1 });
  expect((await host.engine.whenFinished("the-child")).output).toBe('"grown up"');
  await host.clock.whenNothingIsLeft();
  expect(host.engine.getInstance("parent")).toMatchObject({ status: "Terminated" });
});

describe("a retry", () => {
  /** @returns the seconds at which the activity was tried */
  async function triesOf(options: RetryOptions, failures = 100): Promise<{ tries: number[]; timers: number; output: unknown }> {
    const tries: number[] = [];
    function* retrying(context: OrchestrationContext): Steps {
      try {
        return yield context.df.callActivityWithRetry("unsteady", options);
      } catch (error) {
        yield context.df.callActivity("echo");
        return (error as Error).message.split(" \n")[0];
      }
    }
    const unsteady = (): string => {
      tries.push((host.clock.now() - began) / SECOND);
      if (tries.length <= failures) throw new Error("no");
      return "yes";
    };
    const host = await start({ retrying }, { activities: { unsteady } });
    const began = host.clock.now();
    const { output } = await run(host, "retrying");
    return { tries, timers: typesIn(host, "retrying").filter((type) => type === EventType.TimerCreated).length, output };
  }
  const failed = "Activity function 'unsteady' failed:  no";
  const growing = (more: Partial<RetryOptions>): RetryOptions => Object.assign(new RetryOptions(10 * SECOND, 5), more);

  test("waits between tries, and has one more timer after the last", async () => {
    expect(await triesOf(new RetryOptions(10 * SECOND, 3))).toEqual({ tries: [0, 10, 20], timers: 3, output: failed });
  });
  test("that succeeds has none", async () => {
    expect(await triesOf(new RetryOptions(10 * SECOND, 3), 1)).toEqual({ tries: [0, 10], timers: 1, output: "yes" });
  });
  test("waits longer each time, up to a longest wait", async () => {
    const { tries } = await triesOf(growing({ backoffCoefficient: 2, maxRetryIntervalInMilliseconds: 30 * SECOND }));
    expect(tries).toEqual([0, 10, 30, 60, 90]);
  });
});

test("a Task.all that has failed keeps the next action from being done until its other tasks have ended", async () => {
  function* hurrying(context: OrchestrationContext): Steps {
    try {
      yield context.df.Task.all([context.df.callActivity("fail", "no"), context.df.createTimer(after(context, 50 * SECOND))]);
    } catch {
      yield context.df.callActivity("note");
    }
    return "done";
  }
  const noted: number[] = [];
  const host = await start({ hurrying }, { activities: { note: () => void noted.push(host.clock.now()) } });
  const began = host.clock.now();
  await run(host, "hurrying");
  expect(noted.map((at) => (at - began) / SECOND)).toEqual([50]);
});

test("a timer of more than six days that is cancelled goes wrong after three, which is warned of", async () => {
  function* patient(context: OrchestrationContext): Steps {
    const long = context.df.createTimer(after(context, 14 * DAY));
    yield context.df.Task.any([context.df.callActivity("echo", 1), long]);
    long.cancel();
    yield context.df.createTimer(after(context, 5 * DAY));
    return yield context.df.callActivity("echo", "done");
  }
  const host = await start({ patient });
  host.engine.start("patient", { instanceId: "patient" });
  await host.clock.whenNothingIsLeft();
  expect(host.engine.getInstance("patient")).toMatchObject({ status: "Running" });
  const warnings = host.entries.filter(({ level }) => level === "warning").map(({ message }) => message);
  expect(warnings[0]).toMatch("after cancelling a timer of more than six days");
});

describe("changed code fails an instance that is under way", () => {
  const kinds: Record<string, (context: OrchestrationContext) => Task> = {
    activity: (context) => context.df.callActivity("echo", 1),
    "another activity": (context) => context.df.callActivity("other", 1),
    timer: (context) => context.df.createTimer(after(context, SECOND)),
    "sub-orchestration": (context) => context.df.callSubOrchestrator("child"),
    entity: (context) => context.df.callEntity(new EntityId("place", "a"), "look"),
    "another entity": (context) => context.df.callEntity(new EntityId("place", "b"), "look"),
    event: (context) => context.df.waitForExternalEvent("Never"),
  };

  async function change(before: string, now: string): Promise<{ status: string; output: string | null }> {
    const store = openStore(":memory:");
    const changing = (kind: string): Orchestrator =>
      function* (context) {
        yield kinds[kind]?.(context) as Task;
        yield context.df.waitForExternalEvent("Go");
        return "done";
      };
    function* child(context: OrchestrationContext): Steps {
      return yield context.df.callActivity("echo");
    }
    const activities = { ...basics, other: () => undefined };
    const entities = { place: () => undefined };
    const run1 = await startEngine({ orchestrators: { changing: changing(before), child }, activities, entities, store });
    run1.engine.start("changing", { instanceId: "changing" });
    await run1.clock.whenNothingIsLeft();
    await run1.engine.stop();
    const run2 = await startEngine({ orchestrators: { changing: changing(now), child }, activities, entities, store });
    run2.engine.raiseEvent("changing", "Go", null);
    await run2.clock.whenNothingIsLeft();
    const { status, output } = run2.engine.getInstance("changing") ?? { status: "", output: null };
    run2.engine.close();
    return { status, output };
  }

  test.each(Object.keys(kinds).filter((kind) => kind !== "event"))("unchanged, %s goes on", async (kind) => {
    expect(await change(kind, kind)).toEqual({ status: "Completed", output: '"done"' });
  });

  test.each([
    ["activity", "another activity"],
    ["activity", "timer"],
    ["timer", "activity"],
    ["sub-orchestration", "activity"],
    ["entity", "another entity"],
    ["entity", "activity"],
    ["activity", "event"],
  ])("%s became %s", async (before, now) => {
    const { status, output } = await change(before, now);
    expect([status, output]).toEqual(["Failed", expect.stringContaining("Non-Deterministic workflow detected: ")]);
  });
});

describe("episodes", () => {
  const fanOut = (count: number): Orchestrator =>
    function* (context) {
      const tasks = Array.from({ length: count }, (_, index) => context.df.callActivity("echo", index));
      const results = (yield context.df.Task.all(tasks)) as number[];
      return results.length;
    };
  const episodesOf = (host: TestedEngine, id: string): number =>
    typesIn(host, id).filter((type) => type === EventType.OrchestratorStarted).length;

  test.each([undefined, 10])("a fan-out of 200 takes two, %s at a time", async (maxConcurrentActivities) => {
    const options = maxConcurrentActivities === undefined ? {} : { maxConcurrentActivities };
    const host = await startEngine({ orchestrators: { wide: fanOut(200) }, activities: basics, ...options });
    expect(await run(host, "wide")).toMatchObject({ output: 200 });
    expect(episodesOf(host, "wide")).toBe(2);
  });

  test("results that come at ten instants take ten more", async () => {
    function* staggered(context: OrchestrationContext): Steps {
      const tasks = Array.from({ length: 200 }, (_, index) => context.df.callActivity("slow", (index % 10) + 1));
      return ((yield context.df.Task.all(tasks)) as unknown[]).length;
    }
    let sleep: (milliseconds: number) => Promise<void> = () => Promise.resolve();
    const host = await start({ staggered }, { activities: { slow: (seconds: number) => sleep(seconds * SECOND) } });
    sleep = host.clock.sleep;
    expect(await run(host, "staggered")).toMatchObject({ output: 200, seconds: 10 });
    expect(episodesOf(host, "staggered")).toBeLessThanOrEqual(11);
  });
});
