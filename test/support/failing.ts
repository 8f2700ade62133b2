/** Which activity fails, and which were called: an activity is named with the step, kind or question that it was called for. */

export interface FailAt {
  /** As `called` names it. */
  activity: string;
  /** Before it did anything, or after all of it. */
  when: "before" | "after";
}

let planned: FailAt | undefined;
let called: string[] = [];

/** From now on; `undefined` lets everything go on. */
export function failAt(plan: FailAt | undefined): void {
  planned = plan;
  called = [];
}

/** Activities in the order of their first call. */
export const activitiesCalled = (): string[] => [...new Set(called)];

export async function failing(name: string, input: unknown, run: () => Promise<unknown>): Promise<unknown> {
  const { work, step, wanted, kind } = (input ?? {}) as { work?: unknown; step?: string; wanted?: unknown; kind?: string };
  if (work === undefined) return run();
  const about = step ?? (typeof wanted === "string" ? wanted : kind);
  const activity = about === undefined ? name : `${name} ${about}`;
  called.push(activity);
  if (planned?.activity !== activity) return run();
  const { when } = planned;
  planned = undefined;
  if (when === "after") await run();
  return {
    failure: { code: "FailedOnPurpose", message: `${activity} failed ${when} its effect`, status: 500, transient: false },
  };
}
