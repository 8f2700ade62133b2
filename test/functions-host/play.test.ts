/** Orchestrators played in virtual time. */

import type { OrchestrationContext, Task } from "durable-functions";
import { expect, test } from "vitest";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { wait, waitForEventOr } from "../../shared/durable/wait.ts";
import { play } from "../support/play.ts";
import { postJson, startFixture } from "./fixtures/hosts.ts";

const MINUTE = 60 * 1000;
const DAY = 24 * 60 * MINUTE;

type Steps = Generator<Task, unknown, unknown>;

test("two days pass in no time", async () => {
  function* patient(context: OrchestrationContext): Steps {
    for (let day = 1; day <= 2; day += 1) yield* wait(context, 24 * 60 * 60);
    return context.df.currentUtcDateTime.toISOString();
  }
  const { result, elapsedInMilliseconds } = await play({ start: patient, input: {} });
  expect({ result, elapsedInMilliseconds }).toEqual({ result: "2030-01-03T00:00:00.000Z", elapsedInMilliseconds: 2 * DAY });
});

test("a timer of a year is made of short ones and fires on time", async () => {
  function* yearly(context: OrchestrationContext): Steps {
    yield* wait(context, (365 * DAY) / 1000);
    return "a year later";
  }
  const { result, elapsedInMilliseconds } = await play({ start: yearly, input: {} });
  expect({ result, elapsedInMilliseconds }).toEqual({ result: "a year later", elapsedInMilliseconds: 365 * DAY });
});

test("activities that sleep in virtual time overlap", async () => {
  const clock = createVirtualClock();
  function* overlapping(context: OrchestrationContext): Steps {
    yield context.df.Task.all([5, 30, 10].map((minutes) => context.df.callActivity("takeTime", minutes)));
    yield context.df.callActivity("takeTime", 1);
    return undefined;
  }
  const activities = { takeTime: (minutes: number) => clock.sleep(minutes * MINUTE) };
  const { elapsedInMilliseconds, calls } = await play({ start: overlapping, input: {}, activities, clock });
  expect({ elapsedInMilliseconds, calls }).toEqual({ elapsedInMilliseconds: 31 * MINUTE, calls: Array(4).fill("takeTime") });
});

test("an event ends a wait before its time is up, or the time ends it", async () => {
  function* waiting(context: OrchestrationContext): Steps {
    return yield* waitForEventOr(context, "Consent", 3600);
  }
  const inTime = await play({ start: waiting, input: {}, events: [{ afterInMilliseconds: 5 * MINUTE, name: "Consent" }] });
  const never = await play({ start: waiting, input: {} });
  expect([inTime.result, inTime.elapsedInMilliseconds]).toEqual([true, 5 * MINUTE]);
  expect([never.result, never.elapsedInMilliseconds]).toEqual([false, 60 * MINUTE]);
});

test("what an activity throws unexpectedly is reported, and what is called without being there fails at once", async () => {
  function* calling(context: OrchestrationContext, name: string): Steps {
    return yield context.df.callActivity(name, { kind: "vault" });
  }
  const broken = () => {
    throw new TypeError("not a function");
  };
  const faulty = await play({ start: calling, input: "broken", activities: { broken } });
  expect(faulty).toMatchObject({ result: { failure: { code: "InternalServerError" } }, calls: ["broken vault"] });
  expect(faulty.reported).toEqual([{ name: "broken", error: new TypeError("not a function") }]);
  const misspelt = await play({ start: calling, input: "brokn", activities: { broken } });
  expect(misspelt.error).toMatch("the function 'brokn' doesn't exist");
});

test("waiting for an event that nobody sends is an error of the test", async () => {
  function* forlorn(context: OrchestrationContext): Steps {
    return yield context.df.waitForExternalEvent("Never");
  }
  await expect(play({ start: forlorn, input: {} })).rejects.toThrow("forlorn waits for something that never comes");
});

test("sub-orchestrations are played too, and repeated activities show what isn't safe to repeat", async () => {
  let created = 0;
  function* child(context: OrchestrationContext): Steps {
    return yield context.df.callActivity("create");
  }
  function* parent(context: OrchestrationContext): Steps {
    return yield context.df.callSubOrchestrator("child", {});
  }
  const activities = { create: () => (created += 1) };
  const { result } = await play({ start: parent, orchestrators: [child], input: {}, activities, repeatActivities: true });
  expect({ result, created }).toEqual({ result: { value: 2 }, created: 2 });
});

test("the whole host runs in virtual time, too", async () => {
  const host = await startFixture({ clock: createVirtualClock() });
  await postJson(`${host.url}/orchestrations/sleep?id=long`, 2 * DAY);
  expect(await host.engine.whenFinished("long")).toMatchObject({ status: "Completed", output: String(2 * DAY) });
  await host.stop();
});
