/** Registers orchestrators and activities under the names they have in code: those names live in history, so they never change. */
import * as durable from "durable-functions";
import type { Orchestrator } from "./routine.ts";
import { asActivity } from "./steps.ts";

export const registerOrchestrator = <Input, Output>(orchestrator: Orchestrator<Input, Output>): void =>
  void durable.app.orchestration(orchestrator.name, (context) => orchestrator(context, context.df.getInput<Input>()));

export const registerActivities = (
  activities: Record<string, (input: never) => Promise<unknown>>,
  report: (name: string, error: unknown) => void,
): void => {
  for (const [name, run] of Object.entries(activities)) durable.app.activity(name, { handler: asActivity(name, run, report) });
};
