/** NCRONTAB, Azure's schedules: `{second} {minute} {hour} {day} {month} {day-of-week}`, the first of them optional, in UTC. */

import { Cron } from "croner";
import { FunctionsSystemError } from "./functions-core.ts";

export interface Schedule {
  /** The first occurrence after `at`, both in milliseconds since 1970. */
  nextAfter(at: number): number;
  /** All periods are under a minute: Azure then keeps no status of it (azure-webjobs-sdk-extensions, TimerListener.cs). */
  frequent: boolean;
}

/** Fields may hold numbers, names of days and months, and `* , - /`: croner reads more (`L`, `#`, `?`, `@daily`) than NCrontab does. */
const FIELD = /^(?:[0-9*,/-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)+$/iu;

const MINUTE = 60_000;

/** How many periods are looked at to call a schedule frequent. */
const PERIODS = 5;

/** @throws FunctionsSystemError for what Azure wouldn't read either, or what never comes */
export function parseSchedule(text: string, functionName: string): Schedule {
  const refused = (why: string): FunctionsSystemError =>
    new FunctionsSystemError(`function '${functionName}' has the schedule '${text}', ${why}`);
  if (/^[\d.]+:\d+(?::\d+)?$/u.test(text.trim()))
    throw refused("which is a time span, for an App Service plan only: write it as NCRONTAB");
  const fields = text.trim().split(/\s+/u);
  if (fields.length !== 5 && fields.length !== 6) throw refused("which doesn't have five or six fields");
  const odd = fields.find((field) => !FIELD.test(field));
  if (odd !== undefined) throw refused(`in which '${odd}' can't be read`);
  if (fields.at(-1)?.includes("7")) throw refused("but days of the week go from 0, Sunday, to 6");
  const cron = parse(fields.join(" "), refused);

  const nextAfter = (at: number): number => {
    const next = cron.nextRun(new Date(at));
    if (!next) throw refused("which never comes");
    return next.getTime();
  };
  const occurrences: number[] = [nextAfter(0)];
  while (occurrences.length <= PERIODS) occurrences.push(nextAfter(occurrences.at(-1) ?? 0));
  const frequent = occurrences.slice(1).every((at, index) => at - (occurrences[index] ?? 0) < MINUTE);
  return { nextAfter, frequent };
}

function parse(pattern: string, refused: (why: string) => Error): Cron {
  try {
    // Both day fields must match (NCrontab), and `5/10` begins at 5: sloppy to croner, usual to NCrontab.
    return new Cron(pattern, { paused: true, timezone: "UTC", domAndDow: true, mode: "5-or-6-parts", sloppyRanges: true });
  } catch (error) {
    throw refused(`which can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
