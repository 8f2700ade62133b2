/** The types of orchestration code: a routine is a sequence of durable steps, an orchestrator a routine with an input. */
import type { OrchestrationContext, Task } from "durable-functions";

export type { OrchestrationContext, Task };

/** Iterate it with `yield*`; each value it yields is a durable task, each value it gets back that task's result. */
export type Routine<T> = Generator<Task, T, unknown>;

/** Registered under its own name, which lives in every running history: never rename one, add a `...2` beside it. */
export type Orchestrator<Input, Output> = (context: OrchestrationContext, input: Input) => Routine<Output>;
