/** What the durable state survives: kills, changed code, second deliveries, another host on the same file. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { createEngine } from "../../infra/local/functions-host/engine.ts";
import { createApp, withApp } from "../../infra/local/functions-host/functions-core.ts";
import { EventType, historyEvent } from "../../infra/local/functions-host/history.ts";
import { openStore } from "../../infra/local/functions-host/store.ts";
import { createRandom } from "../support/random.ts";
import { fixtureApp, getJson, postJson, spawnHost, startFixture, withDirectory } from "./fixtures/hosts.ts";
import type { HostProcess } from "./fixtures/hosts.ts";

const seed = Number(process.env["FUNCTIONS_HOST_SEED"] ?? Date.now() % 1_000_000);

const statusOf = async (host: HostProcess, id: string): Promise<{ runtimeStatus: string; output: unknown }> =>
  (await getJson(`${host.managementUrl}durabletask/instances/${id}`)) as { runtimeStatus: string; output: unknown };

async function untilFinished(host: HostProcess, id: string): Promise<{ runtimeStatus: string; output: unknown }> {
  for (;;) {
    const status = await statusOf(host, id);
    if (!["Pending", "Running"].includes(status.runtimeStatus)) return status;
    await wait(20);
  }
}

test(`a host killed at six random instants loses nothing (FUNCTIONS_HOST_SEED=${seed})`, { timeout: 120_000 }, () =>
  withDirectory(async (directory) => {
    const random = createRandom(seed);
    const record = path.join(directory, "record");
    const start = () =>
      spawnHost(["--app", fixtureApp, "--state", path.join(directory, "state.sqlite")], { FIXTURE_RECORD: record });
    const ids = Array.from({ length: 8 }, (_, index) => `everything-${index}`);
    let host = await start();
    for (const id of ids) await postJson(`${host.url}/orchestrations/everything?id=${id}`, { key: id });
    for (let kill = 1; kill <= 6; kill += 1) {
      await wait(random() * 250);
      await host.end("SIGKILL");
      host = await start();
    }
    try {
      for (const id of ids) {
        const output = { first: 4, second: 3, retried: `${id}/c`, counted: "done" };
        expect(await untilFinished(host, id)).toMatchObject({ runtimeStatus: "Completed", output });
      }
      const ended = readFileSync(record, "utf8")
        .split("\n")
        .filter((line) => line.startsWith("end "));
      expect(new Set(ended).size).toBe(ids.length * 8);
    } finally {
      await host.end("SIGTERM");
    }
  }),
);

test("a host asked to stop lets its activities end, and the next one goes on", () =>
  withDirectory(async (directory) => {
    const record = path.join(directory, "record");
    const start = () =>
      spawnHost(["--app", fixtureApp, "--state", path.join(directory, "state.sqlite")], { FIXTURE_RECORD: record });
    const first = await start();
    await postJson(`${first.url}/orchestrations/fanOut?id=long`, { key: "long", count: 2, milliseconds: 500 });
    const lines = (): string[] => readFileSync(record, { encoding: "utf8", flag: "a+" }).split("\n").filter(Boolean).toSorted();
    while (lines().length < 2) await wait(10);
    expect(await first.end("SIGTERM")).toBe(0);
    expect(lines()).toEqual(["begin long/0", "begin long/1", "end long/0", "end long/1"]);
    const second = await start();
    expect(await untilFinished(second, "long")).toMatchObject({ runtimeStatus: "Completed", output: 2 });
    expect(lines()).toHaveLength(4);
    await second.end("SIGTERM");
  }));

test("a second host on the same state file is refused", () =>
  withDirectory(async (directory) => {
    const stateFile = path.join(directory, "state.sqlite");
    const host = await spawnHost(["--app", fixtureApp, "--state", stateFile]);
    await expect(spawnHost(["--app", fixtureApp, "--state", stateFile])).rejects.toThrow(`another host is using ${stateFile}`);
    await expect(startFixture({ stateFile })).rejects.toThrow(`another host is using ${stateFile}`);
    await host.end("SIGKILL");
    const next = await startFixture({ stateFile });
    await next.stop();
  }));

test("an orchestration whose code was changed under it fails as non-deterministic", () =>
  withDirectory(async (directory) => {
    const args = ["--app", fixtureApp, "--state", path.join(directory, "state.sqlite")];
    const before = await spawnHost(args);
    await postJson(`${before.url}/orchestrations/changed?id=changed`);
    while ((await statusOf(before, "changed")).runtimeStatus !== "Running") await wait(10);
    await before.end("SIGTERM");
    const after = await spawnHost(args, { FIXTURE_CHANGED: "yes" });
    await postJson(`${after.url}/instances/changed/raise?argument=Go`, null);
    const output = expect.stringMatching(
      "Non-Deterministic workflow detected: .*activity 'greet' as task 0.*activity 'nothing'",
    ) as string;
    expect(await untilFinished(after, "changed")).toMatchObject({ runtimeStatus: "Failed", output });
    await after.end("SIGTERM");
  }));

test("a result that is delivered twice counts once, and one for another execution not at all", async () => {
  const clock = createVirtualClock();
  const app = createApp({ log: () => undefined });
  const durable = await import("durable-functions");
  await withApp(app, () => {
    durable.app.activity("count", { handler: () => 1 });
    durable.app.orchestration("counting", function* (context) {
      let sum = 0;
      for (let call = 0; call < 3; call += 1) {
        sum += (yield context.df.callActivity("count")) as number;
        yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 1000));
      }
      return sum;
    });
  });
  const store = openStore(":memory:");
  const engine = createEngine({ app, store, clock, log: () => undefined, maxConcurrentActivities: 1 });
  engine.begin();
  const release = clock.hold();
  const instanceId = engine.start("counting");
  const executionId = engine.getInstance(instanceId)?.executionId;
  for (const at of [1, 500, 1500, 2500]) {
    const result = historyEvent(EventType.TaskCompleted, clock.now(), { TaskScheduledId: 0, Result: "100" });
    const fired = historyEvent(EventType.TimerFired, clock.now(), { TimerId: 1, FireAt: "2030-01-01T00:00:00Z" });
    for (const event of [result, fired]) {
      const visibleAt = clock.now() + at;
      store.addMessage({ instanceId, executionId, key: `again:${at}:${event.EventType}`, visibleAt, event });
      store.addMessage({ instanceId, executionId: "another", key: `another:${at}:${event.EventType}`, visibleAt, event });
    }
  }
  release();
  const { output } = await engine.whenFinished(instanceId);
  expect(output).toBe("3");
  const types = engine.getHistory(instanceId).map((event) => event.EventType);
  expect(types.filter((type) => type === EventType.TaskCompleted)).toHaveLength(3);
  expect(types.filter((type) => type === EventType.TimerFired)).toHaveLength(3);
  engine.close();
});

test("the command line explains itself, and refuses what it can't do in one line", async () => {
  const main = path.join(import.meta.dirname, "../../infra/local/functions-host/main.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [main, "--help"]);
  expect(stdout).toMatch("--state FILE");
  await expect(spawnHost(["--app", "/nowhere", "--state", ":memory:"])).rejects.toThrow(/^no package.json in \/nowhere\n$/u);
  await expect(spawnHost(["--port", "http"])).rejects.toThrow("--port http is no port");
});
