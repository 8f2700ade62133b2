/** When a delivery is tried again and given up, and when a receiver that fails is left alone: pure, so that it can be reasoned about. */
import type { Circuit } from "../../shared/stores/webhooks.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** After the first failure, after the second, …: Standard Webhooks' own schedule, some three days in all. */
export const WAITS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
] as const;

/** The waits, their jitter and what a circuit adds: after that nobody cares any more. */
export const LIFETIME_IN_MILLISECONDS = 84 * HOUR;
const LONGEST_RETRY_AFTER = 24 * HOUR;

/** @returns milliseconds to wait after so many counted tries, or undefined to give up; `chance` is between 0 and 1 */
export function waitAfter(counted: number, retryAfterInSeconds: number | undefined, chance: number): number | undefined {
  const planned = WAITS[counted - 1];
  if (planned === undefined) return undefined;
  return Math.max(jittered(planned, chance), askedFor(retryAfterInSeconds));
}

/** So many failures in a row, of whichever deliveries, open the circuit; each further one doubles the time. */
const FAILURES_TO_OPEN = 5;
const FIRST_PAUSE = MINUTE;
const LONGEST_PAUSE = HOUR;
/** For so long one delivery has the trial of a circuit that was open. */
export const TRIAL_IN_MILLISECONDS = 30 * SECOND;

/** The circuit after one more failure. Whoever asks for time gets it for all deliveries. */
export function failedOnce(
  known: Pick<Circuit, "failures"> | undefined,
  { reason, retryAfterInSeconds }: { reason: string; retryAfterInSeconds?: number | undefined },
  now: number,
  chance: number,
): Circuit {
  const failures = (known?.failures ?? 0) + 1;
  const beyond = failures - FAILURES_TO_OPEN;
  const pause = beyond < 0 ? 0 : jittered(Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(beyond, 20)), chance);
  const open = Math.max(pause, askedFor(retryAfterInSeconds));
  return {
    failures,
    ...(open > 0 ? { openUntil: new Date(now + open).toISOString() } : {}),
    lastFailure: { at: new Date(now).toISOString(), reason },
  };
}

const MAIL_PAUSES = [MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR] as const;

/** How long a mailbox is left alone after so many failures in a row; nothing is given up, since what waits is stacked anyway. */
export const mailPauseAfter = (failures: number, retryAfterInSeconds: number | undefined, chance: number): number =>
  Math.max(jittered(MAIL_PAUSES[failures - 1] ?? HOUR, chance), askedFor(retryAfterInSeconds));

/** Those that waited for a circuit come back one after the other. */
export const spreadAfter = (openUntil: number, chance: number): number => openUntil + Math.round(chance * MINUTE);

/** Between nine and eleven tenths. */
const jittered = (milliseconds: number, chance: number): number => Math.round(milliseconds * (0.9 + 0.2 * chance));

const askedFor = (seconds: number | undefined): number => Math.min((seconds ?? 0) * SECOND, LONGEST_RETRY_AFTER);
