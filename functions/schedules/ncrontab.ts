/** When an NCRONTAB expression (NCrontab, as the Functions host reads it) is due next: five or six fields, UTC, day of month and day of week both. */

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MILLISECONDS_A_DAY = 24 * 3600 * 1000;
/** A Saturday that is the 29th of February may be forty years away. */
const DAYS_LOOKED_AT = 41 * 366;

/** Undefined when it is never due, or isn't one. */
export function nextRun(expression: string, after: number): Date | undefined {
  const parts = expression.trim().split(/\s+/);
  const [seconds, minutes, hours, days, months, weekdays] = parts.length === 5 ? ["0", ...parts] : parts;
  const times = {
    seconds: valuesOf(seconds, 0, 59),
    minutes: valuesOf(minutes, 0, 59),
    hours: valuesOf(hours, 0, 23),
  };
  const dates = {
    days: valuesOf(days, 1, 31),
    months: valuesOf(months, 1, 12, MONTHS),
    weekdays: valuesOf(weekdays, 0, 6, DAYS),
  };
  if ([...Object.values(times), ...Object.values(dates)].some(({ size }) => size === 0)) return undefined;
  const start = Math.floor(after / 1000) * 1000 + 1000;
  const midnight = Math.floor(start / MILLISECONDS_A_DAY) * MILLISECONDS_A_DAY;
  for (let number = 0; number < DAYS_LOOKED_AT; number += 1) {
    const day = new Date(midnight + number * MILLISECONDS_A_DAY);
    if (!dates.months.has(day.getUTCMonth() + 1) || !dates.days.has(day.getUTCDate()) || !dates.weekdays.has(day.getUTCDay()))
      continue;
    const found = timeOfDay(times, number === 0 ? (start - midnight) / 1000 : 0);
    if (found !== undefined) return new Date(day.getTime() + found * 1000);
  }
  return undefined;
}

/** Seconds since midnight, from so many on. */
function timeOfDay(
  { seconds, minutes, hours }: Record<"seconds" | "minutes" | "hours", Set<number>>,
  from: number,
): number | undefined {
  for (const hour of hours)
    for (const minute of minutes) {
      if ((hour * 60 + minute) * 60 + 59 < from) continue;
      for (const second of seconds) {
        const time = (hour * 60 + minute) * 60 + second;
        if (time >= from) return time;
      }
    }
  return undefined;
}

/** In ascending order; empty when the field can't be read. */
function valuesOf(field: string | undefined, least: number, most: number, names: string[] = []): Set<number> {
  const numberOf = (text: string): number => {
    const named = names.indexOf(text.toUpperCase());
    return named >= 0 ? named + least : /^\d+$/.test(text) ? Number(text) : Number.NaN;
  };
  const found = new Set<number>();
  for (const part of (field ?? "").split(",")) {
    const [range = "", step = "1", ...rest] = part.split("/");
    const [first = "", last] = range.split("-");
    const from = range === "*" ? least : numberOf(first);
    const to = range === "*" || (last === undefined && part.includes("/")) ? most : numberOf(last ?? first);
    const every = Number(step);
    if (rest.length > 0 || !(from >= least && to <= most && from <= to && every >= 1)) return new Set();
    for (let value = from; value <= to; value += every) found.add(value);
  }
  return new Set([...found].toSorted((a, b) => a - b));
}
