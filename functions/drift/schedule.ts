/** Whose turn it is: a tenant that changed lately is looked at often, a quiet one seldom, each in its own moment of the interval. */
import { createHash } from "node:crypto";

export interface DriftPace {
  shortestInSeconds: number;
  longestInSeconds: number;
  /** How often a day a property is brought back by policy. */
  repairsADay: number;
}

/**
 * A quarter to a half of the time for which it has been quiet: doubled steps, so that moments stay where they are for a while. Nothing of
 * it is stored, since it follows from when the tenant last changed.
 * @param quietSince milliseconds since 1970; undefined for what was never looked at
 */
export function intervalOf(
  quietSince: number | undefined,
  now: number,
  { shortestInSeconds, longestInSeconds }: DriftPace,
): number {
  const quiet = quietSince === undefined ? 0 : (now - quietSince) / 1000;
  const doublings = Math.max(0, Math.floor(Math.log2(quiet / 2 / shortestInSeconds)));
  return 1000 * Math.min(longestInSeconds, shortestInSeconds * 2 ** doublings);
}

/** Whether its moment lies between the last sweep and this one: a sweep that was missed is made up for by the next. */
export function due(
  key: string,
  quietSince: number | undefined,
  last: number | undefined,
  now: number,
  pace: DriftPace,
): boolean {
  if (last === undefined || quietSince === undefined) return true;
  const interval = intervalOf(quietSince, now, pace);
  const moment = (createHash("sha256").update(key).digest().readUInt32BE(0) / 2 ** 32) * interval;
  return Math.floor((now - moment) / interval) > Math.floor((last - moment) / interval);
}
