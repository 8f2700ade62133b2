/** With the chaos switch on, everything that Azure may deliver twice comes twice. */

import type { OrchestrationContext, Task } from "durable-functions";
import { expect, test } from "vitest";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { EventType } from "../../infra/local/functions-host/history.ts";
import { startFixture } from "./fixtures/hosts.ts";
import { startEngine } from "./fixtures/engines.ts";

type Steps = Generator<Task, unknown, unknown>;

test("every activity is run twice, before its result is known or after, and its orchestration doesn't see it", async () => {
  const runs: number[] = [];
  function* adding(context: OrchestrationContext): Steps {
    let sum = 0;
    for (let number = 1; number <= 4; number += 1) {
      sum += (yield context.df.callActivity("note", number)) as number;
      yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 1000));
    }
    return sum;
  }
  const note = (number: number): number => runs.push(number) && number;
  const { engine } = await startEngine({ orchestrators: { adding }, activities: { note }, chaos: true });
  const id = engine.start("adding");
  expect(await engine.whenFinished(id)).toMatchObject({ status: "Completed", output: "10" });
  expect(runs).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  const types = engine.getHistory(id).map((event) => event.EventType);
  const count = (wanted: EventType): number => types.filter((type) => type === wanted).length;
  expect([EventType.ExecutionStarted, EventType.TaskCompleted, EventType.TimerFired].map(count)).toEqual([1, 4, 4]);
  engine.close();
});

test("an event from outside is seen twice, as Azure may show it", async () => {
  function* collecting(context: OrchestrationContext): Steps {
    return [yield context.df.waitForExternalEvent("Word"), yield context.df.waitForExternalEvent("Word")];
  }
  const { engine } = await startEngine({ orchestrators: { collecting }, chaos: true });
  const id = engine.start("collecting");
  engine.raiseEvent(id, "Word", "again");
  expect(await engine.whenFinished(id)).toMatchObject({ output: '["again","again"]' });
  engine.close();
});

test("everything an orchestration can do bears it", async () => {
  const host = await startFixture({ clock: createVirtualClock(), chaos: true });
  const inputs = { family: "", countdown: 5, fanOut: { key: "fan", count: 25, milliseconds: 1 }, everything: { key: "all" } };
  const outputs = Object.entries(inputs).map(async ([name, input]) => {
    const { status, output } = await host.engine.whenFinished(host.engine.start(name, { input, instanceId: name }));
    return [name, status, JSON.parse(output ?? "null")];
  });
  expect(await Promise.all(outputs)).toEqual([
    ["family", "Completed", expect.objectContaining({ both: [2, "Hello second"] })],
    ["countdown", "Completed", "done"],
    ["fanOut", "Completed", 25],
    ["everything", "Completed", expect.objectContaining({ first: 4, second: 3, counted: "done" })],
  ]);
  await host.stop();
});
