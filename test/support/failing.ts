/** Which activity fails, or sees its host killed, and which were called: an activity is named with the step, kind or question that it was called for. */

export interface FailAt {
  /** As `called` names it. */
  activity: string;
  /** Before it did anything, or after all of it. */
  when: "before" | "after";
}

type Planned = FailAt & { killed?: () => void };

let planned: Planned | undefined;
let called: string[] = [];
/** Apps whose host was killed. */
const dead = new Set<number>();

/** From now on; `undefined` lets everything go on. */
export function failAt(plan: FailAt | undefined): void {
  planned = plan;
  called = [];
}

/** From that instant on the app does nothing more, and what its host hears of it doesn't count: `killed` notes what it has heard by then. */
export function killAt(plan: FailAt, killed: () => void): void {
  planned = { ...plan, killed };
  called = [];
}

/** Activities in the order of their first call. */
export const activitiesCalled = (): string[] => [...new Set(called)];

/** @param app tells one load of the app from another */
export async function failing(app: number, name: string, input: unknown, run: () => Promise<unknown>): Promise<unknown> {
  const { work, step, wanted, kind } = (input ?? {}) as { work?: unknown; step?: string; wanted?: unknown; kind?: string };
  if (work === undefined) return run();
  if (dead.has(app)) return failure("the host was killed");
  const about = step ?? (typeof wanted === "string" ? wanted : kind);
  const activity = about === undefined ? name : `${name} ${about}`;
  called.push(activity);
  if (planned?.activity !== activity) return run();
  const { when, killed } = planned;
  planned = undefined;
  if (when === "after") await run();
  if (killed) {
    dead.add(app);
    killed();
  }
  return failure(`${activity} failed ${when} its effect`);
}

const failure = (message: string) => ({ failure: { code: "FailedOnPurpose", message, status: 500, transient: false } });
