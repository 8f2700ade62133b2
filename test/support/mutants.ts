/** Hands that do the app's work in another order than it was written: each stands for an activity, by its name, until it is put back. */

/** What an activity answers in the app: a value, or a failure as a value. */
export type Answer = { value?: unknown; failure?: unknown };

/** `run` is the activity itself; called with another input it does something else. */
export type Hand = (run: (input?: unknown) => Promise<Answer>, input: never) => Promise<Answer>;

const hands = new Map<string, Hand>();

export const handOf = (activity: string): Hand | undefined => hands.get(activity);

/** Runs with these hands instead of the app's own. */
export async function withHands<Result>(swapped: Record<string, Hand>, run: () => Promise<Result>): Promise<Result> {
  for (const [activity, hand] of Object.entries(swapped)) hands.set(activity, hand);
  try {
    return await run();
  } finally {
    hands.clear();
  }
}
