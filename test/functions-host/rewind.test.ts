/** A failed orchestration is rewound: what failed is done again, what succeeded isn't. */

import type { OrchestrationContext, Task } from "durable-functions";
import { expect, test } from "vitest";
import { startEngine } from "./fixtures/engines.ts";

type Steps = Generator<Task, unknown, unknown>;

test("failed activities run again, those of sub-orchestrations too, and the rest keeps its results", async () => {
  let mended = false;
  const runs: string[] = [];
  const activities = {
    fine: (name: string) => runs.push(name) && name,
    broken: (name: string) => {
      runs.push(name);
      if (!mended) throw new Error("it is broken");
      return name;
    },
  };
  function* child(context: OrchestrationContext): Steps {
    return [yield context.df.callActivity("fine", "c"), yield context.df.callActivity("broken", "d")];
  }
  function* parent(context: OrchestrationContext): Steps {
    return [yield context.df.callActivity("fine", "a"), yield context.df.callSubOrchestrator("child", null, "child-1")];
  }
  const { engine } = await startEngine({ orchestrators: { parent, child }, activities });
  engine.start("parent", { instanceId: "family" });
  expect(await engine.whenFinished("family")).toMatchObject({ status: "Failed" });
  expect(runs).toEqual(["a", "c", "d"]);

  mended = true;
  engine.rewind("family", "the part was replaced");
  expect(await engine.whenFinished("family")).toMatchObject({ status: "Completed", output: '["a",["c","d"]]' });
  expect(await engine.whenFinished("child-1")).toMatchObject({ status: "Completed" });
  expect(runs).toEqual(["a", "c", "d", "d"]);
  expect(() => engine.rewind("family", null)).toThrow("only supported on failed orchestration instances");
  expect(() => engine.rewind("nobody", null)).toThrow("no instance 'nobody'");
  engine.close();
});
