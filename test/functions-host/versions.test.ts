/** What a host does with an instance of another version than its own. */

import type { OrchestrationContext, Task } from "durable-functions";
import { expect, test } from "vitest";
import { openStore } from "../../infra/local/functions-host/store.ts";
import { versionMismatch } from "../../infra/local/functions-host/versions.ts";
import { startEngine } from "./fixtures/engines.ts";

test.each([
  ["None", "2.0.0", "1.0.0", true],
  ["Strict", "1.0.0", "1.0.0", true],
  ["Strict", "1.0.1", "1.0.0", false],
  ["Strict", undefined, "1.0.0", false],
  ["Strict", undefined, undefined, true],
  ["CurrentOrOlder", "1.9.0", "1.10.0", true],
  ["CurrentOrOlder", "1.10.0", "1.9.0", false],
  ["CurrentOrOlder", "1.10", "1.10.0", true],
  ["CurrentOrOlder", undefined, "1.0.0", true],
  ["CurrentOrOlder", "1.0.0", undefined, false],
  ["CurrentOrOlder", "beta", "Alpha", false],
  ["CurrentOrOlder", "alpha", "Alpha", true],
] as const)("%s: version %s on a host of %s: %s", (versionMatchStrategy, version, defaultVersion, accepted) => {
  expect(versionMismatch({ versionMatchStrategy, defaultVersion }, version) === undefined).toBe(accepted);
});

function* waiting(context: OrchestrationContext): Generator<Task, unknown, unknown> {
  return yield context.df.waitForExternalEvent("Go");
}

test("an instance of a newer version is left to a host that knows it, or failed", async () => {
  const functions = { orchestrators: { waiting }, store: openStore(":memory:") };
  const versioning = { defaultVersion: "1.0.0", versionMatchStrategy: "CurrentOrOlder" } as const;
  const older = await startEngine({ ...functions, ...versioning, versionFailureStrategy: "Reject" });
  older.engine.start("waiting", { instanceId: "older", version: "0.9.0" });
  older.engine.start("waiting", { instanceId: "newer", version: "2.0.0" });
  for (const id of ["older", "newer"]) older.engine.raiseEvent(id, "Go", "gone");
  expect(await older.engine.whenFinished("older")).toMatchObject({ output: '"gone"' });
  await older.clock.whenNothingIsLeft();
  expect(older.engine.getInstance("newer")).toMatchObject({ status: "Pending" });
  const warning = "newer: The orchestration version '2.0.0' is greater than the worker version '1.0.0'.";
  expect(older.entries.map(({ message }) => message)).toContain(warning);
  await older.engine.stop();

  const newer = await startEngine({ ...functions, ...versioning, defaultVersion: "2.0.0" });
  expect(await newer.engine.whenFinished("newer")).toMatchObject({ status: "Completed", output: '"gone"' });
  newer.engine.start("waiting", { instanceId: "newest", version: "3.0.0" });
  await newer.engine.stop();

  const strict = await startEngine({ ...functions, ...versioning, versionFailureStrategy: "Fail" });
  const output = JSON.stringify("The orchestration version '3.0.0' is greater than the worker version '1.0.0'.");
  expect(await strict.engine.whenFinished("newest")).toMatchObject({ status: "Failed", output });
  strict.engine.close();
});
