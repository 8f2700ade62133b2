/** Registers orchestrators and activities under the names they have in code: those names live in history, so they never change. */
import * as durable from "durable-functions";
import { admission, type Attempts } from "./admission.ts";
import type { Orchestrator } from "./routine.ts";
import { asActivity } from "./steps.ts";

export const registerOrchestrator = <Input, Output>(orchestrator: Orchestrator<Input, Output>): void =>
  void durable.app.orchestration(orchestrator.name, (context) => orchestrator(context, context.df.getInput<Input>()));

/** What every activity of the app is told of and asks, whichever it is. */
export interface ActivityWorld {
  reportFailure(activity: string, error: unknown): void;
  stores: { operations: Attempts };
}

/** No activity acts for an operation that is to stop: each asks first, here, so that none can forget to. */
export const registerActivities = (
  activities: Record<string, (input: never) => Promise<unknown>>,
  { reportFailure, stores }: ActivityWorld,
): void => {
  const admit = admission(stores.operations);
  for (const [name, run] of Object.entries(activities))
    durable.app.activity(name, { handler: asActivity(name, run, reportFailure, admit) });
};
