/** Two versions of an app over the same state: what the older one has begun ends well on the newer one, by the way it began with. */
import { readFileSync } from "node:fs";
import type { OrchestrationContext, Task } from "durable-functions";
import { expect, test } from "vitest";
import { openStore } from "../../infra/local/functions-host/store.ts";
import type { Versioning } from "../../infra/local/functions-host/versions.ts";
import { begunWith } from "../../shared/durable/version.ts";
import { startEngine } from "../functions-host/fixtures/engines.ts";

const { extensions } = JSON.parse(readFileSync(new URL("../../host.json", import.meta.url), "utf8")) as {
  extensions: { durableTask: Versioning };
};
const { versionMatchStrategy, versionFailureStrategy, defaultVersion = "" } = extensions.durableTask;
const app = { versionMatchStrategy, versionFailureStrategy };
const next = `${Number(defaultVersion.split(".")[0]) + 1}.0.0`;

const activities = {
  prepare: () => "prepared",
  check: () => "checked",
  build: () => "built",
};

/** Waits for a person, one look an execution, and then builds. */
function* older(context: OrchestrationContext): Generator<Task, unknown, unknown> {
  const prepared = yield context.df.callActivity("prepare");
  const seen = context.df.getInput<number>();
  if (seen < 2) {
    yield context.df.waitForExternalEvent("Looked");
    context.df.continueAsNew(seen + 1);
    return undefined;
  }
  yield context.df.waitForExternalEvent("Answered");
  return [prepared, yield context.df.callActivity("build")];
}

/** The next version checks before it prepares: an older history would not fit that. */
function* newer(context: OrchestrationContext): Generator<Task, unknown, unknown> {
  const checked = begunWith(context, next) ? [yield context.df.callActivity("check")] : [];
  const prepared = yield context.df.callActivity("prepare");
  const seen = context.df.getInput<number>();
  if (seen < 2) {
    yield context.df.waitForExternalEvent("Looked");
    context.df.continueAsNew(seen + 1);
    return undefined;
  }
  yield context.df.waitForExternalEvent("Answered");
  return [...checked, prepared, yield context.df.callActivity("build")];
}

test("a run that the older version began is in the middle of its wait when the newer one is deployed, and ends as it began", async () => {
  const store = openStore(":memory:");
  const before = await startEngine({ ...app, store, defaultVersion, activities, orchestrators: { onboard: older } });
  before.engine.start("onboard", { instanceId: "begun-before", input: 0 });
  await before.clock.whenNothingIsLeft();
  before.engine.raiseEvent("begun-before", "Looked", null);
  await before.clock.whenNothingIsLeft();
  await before.engine.stop();

  const after = await startEngine({ ...app, store, defaultVersion: next, activities, orchestrators: { onboard: newer } });
  after.engine.start("onboard", { instanceId: "begun-after", input: 0 });
  for (const id of ["begun-before", "begun-after"]) {
    for (const event of ["Looked", "Looked", "Answered"]) {
      await after.clock.whenNothingIsLeft();
      after.engine.raiseEvent(id, event, null);
    }
  }
  expect(await after.engine.whenFinished("begun-before")).toMatchObject({ status: "Completed", output: '["prepared","built"]' });
  expect(await after.engine.whenFinished("begun-after")).toMatchObject({
    status: "Completed",
    output: '["checked","prepared","built"]',
  });
  after.engine.close();
});

test("an older version that still runs beside the newer one leaves what is new alone, and breaks nothing of it", async () => {
  const store = openStore(":memory:");
  const before = await startEngine({ ...app, store, defaultVersion, activities, orchestrators: { onboard: older } });
  before.engine.start("onboard", { instanceId: "too-new", input: 2, version: next });
  await before.clock.whenNothingIsLeft();
  expect(before.engine.getInstance("too-new")).toMatchObject({ status: "Pending" });
  await before.engine.stop();
  const after = await startEngine({ ...app, store, defaultVersion: next, activities, orchestrators: { onboard: newer } });
  await after.clock.whenNothingIsLeft();
  after.engine.raiseEvent("too-new", "Answered", null);
  expect(await after.engine.whenFinished("too-new")).toMatchObject({ output: '["checked","prepared","built"]' });
  after.engine.close();
});

test.each([
  [undefined, "1.0.0", false],
  ["1.0.0", "1.0.0", true],
  ["1.9.0", "1.10.0", false],
  ["1.10.0", "1.9.0", true],
  ["2.0", "2.0.0", true],
  ["1.0.1", "2.0.0", false],
])("begun with %s is begun with %s or later: %s", (version, asked, expected) => {
  expect(begunWith({ df: { version } } as OrchestrationContext, asked)).toBe(expected);
});
