/** How long a step goes on trying. The figures travel in the orchestration's input, so that a changed setting never changes a running history. */

export interface Patience {
  /** Tries in all, the first one included. */
  tries: number;
  /** Doubles with each try. */
  firstWaitInSeconds: number;
  longestWaitInSeconds: number;
}

/** The wait before try number `next` (2 is the first repetition); what the other side asked for is a floor, never a ceiling. */
export const waitBefore = (next: number, patience: Patience, retryAfterInSeconds = 0): number =>
  Math.max(retryAfterInSeconds, Math.min(patience.firstWaitInSeconds * 2 ** (next - 2), patience.longestWaitInSeconds));
