/** The state file stays small: a finished orchestration is one row of history, and what is purged gives its space back. */

import { statSync } from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { OrchestrationContext, Task } from "durable-functions";
import { expect, test } from "vitest";
import { openStore } from "../../infra/local/functions-host/store.ts";
import { startEngine } from "./fixtures/engines.ts";
import { withDirectory } from "./fixtures/hosts.ts";

const DAY = 24 * 60 * 60 * 1000;

function* working(context: OrchestrationContext): Generator<Task, unknown, unknown> {
  for (let call = 0; call < 20; call += 1) yield context.df.callActivity("work", call);
  return "done";
}
const functions = { orchestrators: { working }, activities: { work: (call: number) => `${call} `.repeat(50) } };

test("a finished orchestration's history is one row, and shown as before", async () => {
  await withDirectory(async (directory) => {
    const file = path.join(directory, "state.sqlite");
    const { engine } = await startEngine({ ...functions, store: openStore(file) });
    await engine.whenFinished(engine.start("working", { instanceId: "one" }));
    expect(engine.getHistory("one").filter(({ Result }) => Result?.startsWith('"7 7 '))).toHaveLength(1);
    engine.close();
    const database = new DatabaseSync(file);
    const count = (table: string) => database.prepare(`SELECT count(*) AS rows FROM ${table}`).get();
    expect([count("history"), count("histories")]).toEqual([{ rows: 0 }, { rows: 1 }]);
    database.close();
  });
});

test("what is purged gives its space back", async () => {
  await withDirectory(async (directory) => {
    const file = path.join(directory, "state.sqlite");
    const { engine } = await startEngine({ ...functions, store: openStore(file) });
    const run = async (count: number): Promise<string[]> => {
      const ids = Array.from({ length: count }, () => engine.start("working", { input: "x".repeat(5000) }));
      for (const id of ids) await engine.whenFinished(id);
      return ids;
    };
    const [first = "", ...others] = await run(40);
    for (const id of others) engine.purge(id);
    engine.purge(first);
    engine.close();
    expect(statSync(file).size).toBeLessThan(100_000);
  });
});

test("histories are forgotten after their time, their instances aren't", async () => {
  const { engine, clock } = await startEngine({ ...functions, historyRetention: DAY });
  await engine.whenFinished(engine.start("working", { instanceId: "old" }));
  await clock.sleep(2 * DAY);
  await engine.whenFinished(engine.start("working", { instanceId: "new" }));
  expect([engine.getHistory("old"), engine.getHistory("new").length > 0]).toEqual([[], true]);
  expect(engine.getInstance("old")).toMatchObject({ status: "Completed", output: '"done"' });
  engine.close();
});
