/** Sub-orchestrations: one after another, or several at once as branches that never throw into the fan-in; and routines side by side in one. */
import { type Failure, errorOf, failureFrom } from "./steps.ts";
import type { OrchestrationContext, Orchestrator, Routine, Task } from "./routine.ts";
import { begunWith } from "./version.ts";

/** What a branch gives to its parent: its output, or why it ended. A throwing child would end `Task.all` before its siblings ended. */
export type Outcome<Output> = { value: Output } | { failure: Failure };

type Branch<Input, Output> = Orchestrator<Input, Outcome<Output>>;

/** Turns a routine into a branch: its failures become values. The result keeps the routine's name and is what gets registered. */
export function branch<Input, Output>(name: string, routine: Orchestrator<Input, Output>): Branch<Input, Output> {
  const run: Branch<Input, Output> = function* (context, input) {
    try {
      return { value: yield* routine(context, input) };
    } catch (error) {
      return { failure: failureFrom(error) };
    }
  };
  Object.defineProperty(run, "name", { value: name });
  return run;
}

/** Runs one child to its end; its instance id is `{parent}-{suffix}`, so a replayed or repeated parent finds the same child. */
export function* child<Input, Output>(
  context: OrchestrationContext,
  run: Branch<Input, Output>,
  input: Input,
  suffix: string,
): Routine<Output> {
  return unwrap((yield context.df.callSubOrchestrator(run.name, input, `${context.df.instanceId}-${suffix}`)) as Outcome<Output>);
}

/** A branch by its registered name, with its input; which input it takes was checked when it was put together. */
interface Start<Output> {
  name: string;
  input: unknown;
  suffix: string;
  /** Only carries the type of what the branch gives. */
  readonly output?: Output;
}

/** Runs branches at the same time, waits for all of them, gives their outputs in order; the first failure in that order is thrown. */
export function* together<Outputs extends unknown[]>(
  context: OrchestrationContext,
  ...branches: { [Index in keyof Outputs]: Start<Outputs[Index]> }
): Routine<Outputs> {
  const tasks = (branches as Start<unknown>[]).map(({ name, input, suffix }) =>
    context.df.callSubOrchestrator(name, input, `${context.df.instanceId}-${suffix}`),
  );
  const outcomes = (yield context.df.Task.all(tasks)) as Outcome<unknown>[];
  return outcomes.map(unwrap) as Outputs;
}

/**
 * Branches that run on beside what `walk` does next; it waits for each where it needs it, and ends with all of them in any case. Each is
 * waited for alone: in a second compound durable-functions 3 would have it done once more, a task that was scheduled it only waits for.
 */
export function* beside<Outputs extends unknown[], Output>(
  context: OrchestrationContext,
  branches: { [Index in keyof Outputs]: Start<Outputs[Index]> },
  walk: (...ends: { [Index in keyof Outputs]: () => Routine<Outputs[Index]> }) => Routine<Output>,
): Routine<Output> {
  const tasks = (branches as Start<unknown>[]).map(({ name, input, suffix }) =>
    context.df.callSubOrchestrator(name, input, `${context.df.instanceId}-${suffix}`),
  );
  const atOnce = context.df.createTimer(context.df.currentUtcDateTime);
  yield context.df.Task.any([...tasks, atOnce]);
  if (!atOnce.isCompleted) atOnce.cancel(); // an orchestration with an open timer never completes
  const ends = tasks.map(
    (task) =>
      function* (): Routine<unknown> {
        return unwrap((yield task) as Outcome<unknown>);
      },
  );
  try {
    return yield* walk(...(ends as { [Index in keyof Outputs]: () => Routine<Outputs[Index]> }));
  } finally {
    for (const task of tasks) yield task;
  }
}

/**
 * Walks routines side by side in one orchestration, step by step: each takes its next one when all have ended the one before. That suits
 * what is short; what goes on for long is a branch. All go on to their ends; the first failure in their order is thrown.
 */
export function* abreast<Outputs extends unknown[]>(
  context: OrchestrationContext,
  ...routines: { [Index in keyof Outputs]: Routine<Outputs[Index]> }
): Routine<Outputs> {
  if (!begunWith(context, "1.1.0")) {
    const outputs: unknown[] = [];
    for (const routine of routines as Routine<unknown>[]) outputs.push(yield* routine);
    return outputs as Outputs;
  }
  const walked = (routines as Routine<unknown>[]).map((routine) => ({ routine, at: stepped(() => routine.next()) }));
  for (;;) {
    const open = walked.flatMap((one) => ("task" in one.at ? { one, task: one.at.task } : []));
    if (open.length === 0) break;
    const results = (yield context.df.Task.all(open.map(({ task }) => task))) as unknown[];
    for (const [index, { one }] of open.entries()) one.at = stepped(() => one.routine.next(results[index]));
  }
  return walked.map(({ at }) => {
    if ("error" in at) throw at.error;
    return "output" in at ? at.output : undefined;
  }) as Outputs;
}

type Stepped = { task: Task } | { output: unknown } | { error: unknown };

function stepped(next: () => IteratorResult<Task, unknown>): Stepped {
  try {
    const { done, value } = next();
    return done === true ? { output: value } : { task: value };
  } catch (error) {
    return { error };
  }
}

const unwrap = <Output>(outcome: Outcome<Output>): Output => {
  if ("failure" in outcome) throw errorOf(outcome.failure);
  return outcome.value;
};
