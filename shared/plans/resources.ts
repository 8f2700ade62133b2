/** What a walk has seen, as a plan shows it. */
import type { PlannedResource } from "../api/plan.ts";
import type { Seen } from "../runbook/looking.ts";
import type { StepTitle } from "../runbook/steps.ts";

/** In the order of the operation's steps: chapters are walked in another order than a reader expects. */
export function plannedOf(seen: Seen[], steps: Pick<StepTitle, "name" | "title">[]): PlannedResource[] {
  const places = new Map(steps.map(({ name, title }, place) => [name, { place, title }]));
  const placeOf = ({ step }: Seen): number => places.get(step)?.place ?? -1;
  return seen
    .toSorted((one, other) => placeOf(one) - placeOf(other))
    .map(({ kind, step, action, changes, reason }) => ({
      kind,
      name: places.get(step)?.title ?? step,
      action,
      changes,
      ...(reason === undefined ? {} : { reason }),
    }));
}
