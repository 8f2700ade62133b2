/** .NET's durations as host.json writes them: `hh:mm:ss`, with days `d.hh:mm:ss`. */

import { FunctionsSystemError } from "./functions-core.ts";

const SECOND = 1000;
const DAY = 24 * 60 * 60 * SECOND;

/** @param setting where it stands, for the message. @returns milliseconds */
export function millisecondsIn(span: string, setting: string): number {
  const [, days = "0", hours, minutes, seconds] = /^(?:(\d+)\.)?([01]?\d|2[0-3]):([0-5]\d):([0-5]\d)$/u.exec(span) ?? [];
  if (hours === undefined) throw new FunctionsSystemError(`host.json: ${setting} is '${span}', no duration such as 00:05:00`);
  return Number(days) * DAY + ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * SECOND;
}
