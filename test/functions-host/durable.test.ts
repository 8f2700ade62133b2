/** Orchestrations on the host, started and changed by the client of durable-functions through HTTP functions. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { getJson, postJson, startFixture } from "./fixtures/hosts.ts";
import type { LoggedHost } from "./fixtures/hosts.ts";

let host: LoggedHost;
beforeAll(async () => {
  host = await startFixture();
});
afterAll(() => host.stop());

async function start(name: string, input?: unknown, id?: string): Promise<string> {
  const started = await postJson(`${host.url}/orchestrations/${name}${id === undefined ? "" : `?id=${id}`}`, input);
  return (started as { id: string }).id;
}

async function run(name: string, input?: unknown, id?: string): Promise<{ status: string; output: unknown }> {
  const { status, output } = await host.engine.whenFinished(await start(name, input, id));
  return { status, output: output === null ? null : JSON.parse(output) };
}

const completed = (output: unknown) => ({ status: "Completed", output });
const failed = (output: unknown) => ({ status: "Failed", output });
const show = (id: string) => getJson(`${host.url}/instances/${id}`);
const change = (id: string, operation: string, argument = "", body?: unknown) =>
  postJson(`${host.url}/instances/${id}/${operation}?argument=${argument}`, body);

/** Until the orchestration has said what it waits for. */
async function waiting(id: string): Promise<void> {
  while (host.engine.getInstance(id)?.customStatus === null) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("an orchestration", () => {
  test("calls activities", async () => {
    expect(await run("greeting", "Bob")).toEqual(completed("Hello Bob"));
    expect(await run("withoutResult")).toEqual(completed({ result: null }));
  });

  test("has the version it was started with, or host.json's", async () => {
    expect(await run("version")).toEqual(completed("1.2"));
    const versioned = host.engine.start("version", { version: "3" });
    expect(await host.engine.whenFinished(versioned)).toMatchObject({ output: '"3"' });
  });

  test("fans out and in", async () => {
    expect(await run("fanOut", { key: "fan", count: 25, milliseconds: 5 })).toEqual(completed(25));
  });

  test("retries with growing delays, gives up in the end, and goes on", async () => {
    const error = "Activity function 'failAtFirst' failed:  attempt 2 failed";
    expect(await run("retries")).toEqual(completed({ succeeded: 3, error, next: "Hello again" }));
  });

  test("sleeps no less than it wants to", async () => {
    const { output } = await run("sleep", 120);
    expect(output).toBeGreaterThanOrEqual(120);
  });

  test("waits for an event, or until its time is up", async () => {
    const id = await start("approval", 60_000);
    await waiting(id);
    expect(await show(id)).toMatchObject({ runtimeStatus: "Running", customStatus: { waitingFor: "Approval" } });
    await change(id, "raise", "Approval", { by: "Alice" });
    expect((await host.engine.whenFinished(id)).output).toBe('{"by":"Alice"}');
    expect(await run("approval", 50)).toEqual(completed("timed out"));
  });

  test("has sub-orchestrations, whose failures it can catch", async () => {
    const error = "Orchestrator function 'failing' failed: no good";
    expect(await run("family", "", "family-1")).toEqual(completed({ first: "Hello child", both: [2, "Hello second"], error }));
    expect(await show("family-1-named")).toMatchObject({ runtimeStatus: "Completed", output: "Hello second" });
  });

  test("continues as new, and events that came too early for one execution reach the next", async () => {
    expect(await run("countdown", 5)).toEqual(completed("done"));
    const id = await start("collect", []);
    for (const number of [1, 2, 3, 4, 5]) host.engine.raiseEvent(id, "Number", number);
    const { output } = await host.engine.whenFinished(id);
    expect(output).toBe("[1,2,3,4,5]");
  });

  test("that throws is Failed, with its words", async () => {
    expect(await run("failing")).toEqual(failed("Orchestrator function 'failing' failed: no good"));
  });

  test("fails at once where Azure would let it hang", async () => {
    expect(await run("misspelt")).toEqual(
      failed("the function 'greeet' doesn't exist, is disabled, or is not an activity function"),
    );
    expect(await run("failingSilently")).toEqual(
      failed("Orchestrator function 'failingSilently' failed: (an error without a message)"),
    );
  });

  test("that goes on after an error in a Task.all while its other tasks are open is warned of", async () => {
    await run("diverging", "", "diverging-1");
    const warnings = host.entries.filter(({ level, functionName }) => level === "warning" && functionName === "diverging");
    expect(warnings.map(({ message }) => message)).toEqual([
      expect.stringContaining("diverging-1: the orchestrator has gone on (task 3)"),
    ]);
  });
});

describe("an instance", () => {
  test("is terminated with a reason", async () => {
    const id = await start("approval", 60_000);
    await waiting(id);
    await change(id, "terminate", "enough");
    expect(await host.engine.whenFinished(id)).toMatchObject({ status: "Terminated", output: '"enough"' });
    // The client keeps quiet about an event for one that has ended.
    await change(id, "raise", "Approval", 1);
  });

  test("sees its events only after it was resumed", async () => {
    const id = await start("approval", 60_000);
    await waiting(id);
    await change(id, "suspend", "pause");
    while (host.engine.getInstance(id)?.status !== "Suspended") await new Promise((resolve) => setTimeout(resolve, 5));
    await change(id, "raise", "Approval", 2);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(await show(id)).toMatchObject({ runtimeStatus: "Suspended" });
    await change(id, "resume", "go");
    expect(await host.engine.whenFinished(id)).toMatchObject({ status: "Completed", output: "2" });
  });

  test("can't be started twice while it runs, and can when it has ended", async () => {
    await start("approval", 60_000, "single");
    const again = await fetch(`${host.url}/orchestrations/approval?id=single`, { method: "POST", body: "60000" });
    expect(again.status).toBe(500);
    host.engine.terminate("single", null);
    await host.engine.whenFinished("single");
    expect(await run("greeting", "Eve", "single")).toEqual(completed("Hello Eve"));
  });

  test("shows its history", async () => {
    await run("family", "", "family-2");
    const query = "showHistory=true&showHistoryOutput=true&showInput=true";
    const status = await getJson(`${host.managementUrl}durabletask/instances/family-2?${query}`);
    const { historyEvents } = status as { historyEvents: Record<string, unknown>[] };
    const events = historyEvents.map((event) => [event["EventType"], event["FunctionName"]]);
    // Two of them ran side by side: which one ended first is nobody's business.
    expect([
      ...events.slice(0, 2),
      ...events.slice(2, 4).toSorted((one, other) => String(one).localeCompare(String(other))),
      ...events.slice(4),
    ]).toEqual([
      ["ExecutionStarted", "family"],
      ["SubOrchestrationInstanceCompleted", "greeting"],
      ["SubOrchestrationInstanceCompleted", "fanOut"],
      ["SubOrchestrationInstanceCompleted", "greeting"],
      ["SubOrchestrationInstanceFailed", "failing"],
      ["ExecutionCompleted", undefined],
    ]);
    expect(historyEvents[1]).toMatchObject({ Result: "Hello child", Input: '"child"' });
  });

  test("is forgotten when it is purged", async () => {
    const id = await start("greeting", "x");
    await host.engine.whenFinished(id);
    expect(await change(id, "purge")).toEqual({ instancesDeleted: 1 });
    expect(await change(id, "purge")).toEqual({ instancesDeleted: 0 });
    expect((await fetch(`${host.url}/instances/${id}`)).status).toBe(500); // durable-functions throws for an unknown instance
  });
});

describe("the durable API", () => {
  const api = (path: string, init: RequestInit = {}) => fetch(`${host.managementUrl}durabletask/${path}`, init);

  test("lists instances page by page, and purges by filter", async () => {
    for (let n = 0; n < 5; n += 1) await run("greeting", "x", `page-${n}`);
    const first = await api("instances/?top=3&instanceIdPrefix=page-");
    const token = first.headers.get("x-ms-continuation-token") ?? "";
    const second = await api("instances/?top=3&instanceIdPrefix=page-", { headers: { "x-ms-continuation-token": token } });
    const ids = [first, second].map(async (page) =>
      ((await page.json()) as { instanceId: string }[]).map(({ instanceId }) => instanceId),
    );
    expect(await Promise.all(ids)).toEqual([
      ["page-0", "page-1", "page-2"],
      ["page-3", "page-4"],
    ]);
    expect(second.headers.get("x-ms-continuation-token")).toBeNull();
    expect(await getJson(`${host.url}/instances`)).toContain("page-4"); // the client follows the pages
    const purge = "instances/?createdTimeFrom=2020-01-01T00:00:00Z&instanceIdPrefix=page-&runtimeStatus=Completed";
    expect(await (await api(purge, { method: "DELETE" })).json()).toEqual({ instancesDeleted: 5 });
    expect((await api("instances/?runtimeStatus=Completed", { method: "DELETE" })).status).toBe(400);
  });

  test.each([
    ["POST", "orchestrators/nobody", 400],
    ["POST", "orchestrators/greeting/@x", 400],
    ["POST", `orchestrators/greeting/${"x".repeat(101)}`, 400],
    ["GET", "instances/none", 404],
    ["POST", "instances/none/terminate", 404],
    ["POST", "instances/none/raiseEvent/x", 400],
    ["POST", "instances/none/rewind", 404],
    ["GET", "elsewhere", 404],
  ])("%s %s: %i", async (method, path, status) => {
    expect((await api(path, { method })).status).toBe(status);
  });

  test("restarts what has ended", async () => {
    await run("greeting", "Bob", "again");
    expect((await api("instances/again/restart?restartWithNewInstanceId=false", { method: "POST" })).status).toBe(202);
    expect(await host.engine.whenFinished("again")).toMatchObject({ status: "Completed", output: '"Hello Bob"' });
  });
});
