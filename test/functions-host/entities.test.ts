/** Entities: operations by orchestrations, clients and other entities, in batches, each once; and locks over several of them. */

import { EntityId } from "durable-functions";
import type { EntityContext, OrchestrationContext, Task } from "durable-functions";
import { afterEach, describe, expect, test } from "vitest";
import { clientBinding, createDurableApi } from "../../infra/local/functions-host/durable-http.ts";
import { startEngine } from "./fixtures/engines.ts";
import type { TestedEngine, TestedFunctions } from "./fixtures/engines.ts";

type Steps = Generator<Task, unknown, unknown>;

const engines: TestedEngine[] = [];
async function start(functions: TestedFunctions & { chaos?: boolean }): Promise<TestedEngine> {
  const started = await startEngine({ entities: { Counter: counter, Forwarder: forwarder }, ...functions });
  engines.push(started);
  return started;
}
afterEach(() => {
  for (const { engine } of engines.splice(0)) engine.close();
});

const invocations = new Set<string>();

function counter(context: EntityContext<unknown>): void {
  const { df } = context;
  const value = df.getState(() => 0) as number;
  if (df.operationName === "add") df.setState(value + (df.getInput<number>() ?? 1));
  else if (df.operationName === "get") df.return(value);
  else if (df.operationName === "fail") throw new Error("it can't");
  else if (df.operationName === "delete") df.destructOnExit();
  invocations.add(context.invocationId);
}

function forwarder(context: EntityContext<unknown>): void {
  context.df.signalEntity(new EntityId("Counter", "target"), "add", context.df.getInput());
}

const a = new EntityId("Counter", "a");
const b = new EntityId("Counter", "b");

async function run({ engine }: TestedEngine, name: string, input = 0): Promise<unknown> {
  const { status, output } = await engine.whenFinished(engine.start(name, { input, instanceId: `${name}-${input}` }));
  const value: unknown = output === null ? null : JSON.parse(output);
  return status === "Completed" ? value : { [status]: value };
}

const stateOf = ({ engine }: TestedEngine, { name, key }: EntityId): unknown => {
  const entity = engine.getEntity({ name, key });
  return entity && JSON.parse(entity.state ?? "null");
};

describe.each([false, true])("with chaos: %s", (chaos) => {
  test("an orchestration calls and signals them", async () => {
    function* counting(context: OrchestrationContext): Steps {
      context.df.signalEntity(a, "add", 5);
      yield context.df.callEntity(a, "add", 2);
      const before = yield context.df.callEntity(a, "get");
      context.df.signalEntity(a, "add", 10);
      return before;
    }
    const host = await start({ orchestrators: { counting }, chaos });
    expect(await run(host, "counting")).toBe(7);
    await host.clock.whenNothingIsLeft();
    expect(stateOf(host, a)).toBe(17); // the signal sent with the end arrives, and none counts twice
  });

  test("entities signal entities", async () => {
    const host = await start({ chaos });
    for (const number of [1, 2, 3]) host.engine.signalEntity({ name: "Forwarder", key: "x" }, "any", String(number));
    await host.clock.whenNothingIsLeft();
    expect(stateOf(host, new EntityId("Counter", "target"))).toBe(6);
  });

  test("a lock keeps others out of all its entities, until it is released or its orchestration ends", async () => {
    function* moving(context: OrchestrationContext): Steps {
      const lock = (yield context.df.lock(b, a)) as { release(): void };
      const before = (yield context.df.callEntity(a, "get")) as number;
      yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 60_000));
      yield context.df.callEntity(a, "add", -1);
      yield context.df.callEntity(b, "add", 1);
      const after = (yield context.df.callEntity(a, "get")) as number;
      if (context.df.getInput() !== 2) lock.release();
      return [before, after];
    }
    const host = await start({ orchestrators: { moving }, chaos });
    const moves = [1, 2, 3].map((number) => run(host, "moving", number));
    host.clock.setTimer(host.clock.now() + 30_000, () => host.engine.signalEntity(a, "add", "100"));
    const seen = (await Promise.all(moves)) as number[][];
    // Nobody sees what another does between its lock and its release.
    for (const [before = 0, after] of seen) expect(after).toBe(before - 1);
    await host.clock.whenNothingIsLeft();
    expect([stateOf(host, a), stateOf(host, b)]).toEqual([97, 3]);
  });
});

test("what comes together is one call", async () => {
  const host = await start({});
  invocations.clear();
  for (let number = 0; number < 50; number += 1) host.engine.signalEntity(a, "add", "1");
  await host.clock.whenNothingIsLeft();
  expect([stateOf(host, a), invocations.size]).toEqual([50, 1]);
});

test("an operation that throws is an error of its caller, whose words are lost", async () => {
  function* failing(context: OrchestrationContext): Steps {
    try {
      yield context.df.callEntity(a, "fail");
      return "no error";
    } catch (error) {
      yield context.df.callEntity(a, "add");
      return [String(error), yield context.df.callEntity(a, "get")];
    }
  }
  const host = await start({ orchestrators: { failing } });
  expect(await run(host, "failing")).toEqual(["Error: [object Object]", 1]);
  expect(host.entries.map(({ message }) => message)).toContain("@counter@a: the operation 'fail' failed");
});

test("an entity that nobody has is an error at once, where Azure hangs", async () => {
  function* misspelt(context: OrchestrationContext): Steps {
    return yield context.df.callEntity(new EntityId("Countre", "a"), "get");
  }
  const host = await start({ orchestrators: { misspelt } });
  expect(await run(host, "misspelt")).toEqual({
    Failed: "the function 'countre' doesn't exist, is disabled, or is not an entity function",
  });
});

test("the API shows, lists and signals them", async () => {
  const host = await start({});
  const api = createDurableApi(host.engine, clientBinding("Hub", "http://127.0.0.1/").managementUrls);
  const ask = (method: string, path: string, body = "", continuationToken?: string) => {
    const { pathname, searchParams } = new URL(path, "http://127.0.0.1/");
    return api({ method, path: pathname.slice(1), query: searchParams, body, continuationToken });
  };
  expect(ask("GET", "entities/Counter/a").status).toBe(404);
  for (const key of ["a", "b", "c"]) expect(ask("POST", `entities/Counter/${key}?op=add`, "4").status).toBe(202);
  expect(ask("POST", "entities/Forwarder/x?op=any", "1").status).toBe(202);
  await host.clock.whenNothingIsLeft();
  expect(ask("GET", "entities/counter/a")).toEqual({ status: 200, body: 4 });
  const first = ask("GET", "entities/Counter?top=2&fetchState=true");
  expect(first.body).toEqual(
    ["a", "b"].map((key) => ({ entityId: { name: "counter", key }, lastOperationTime: "2030-01-01T00:00:00Z", state: 4 })),
  );
  const next = ask("GET", "entities/Counter?top=2", "", first.headers?.["x-ms-continuation-token"]);
  expect(next.body).toMatchObject([{ entityId: { key: "c" } }, { entityId: { key: "target" } }]);
  expect(ask("DELETE", "entities/Counter/a?op=delete").status).toBe(202);
  await host.clock.whenNothingIsLeft();
  expect(ask("GET", "entities/Counter/a").status).toBe(404);
  expect([
    ask("POST", "entities/Nobody/a?op=x"),
    ask("PUT", "entities/Counter/a"),
    ask("POST", "entities/Counter"),
  ]).toMatchObject([{ status: 400 }, { status: 404 }, { status: 400 }]);
});
