/** A quarter of a machine's hours in one compact text: the worst that its readings said in each. Pure. */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { type Aspect, aspects, type Reading } from "../api/heartbeat.ts";

/** What several readings come to: the most of each count, and the worst level of each thing. */
export type WorstReading = Omit<Reading, "reply">;

const HOUR_IN_MILLISECONDS = 3600 * 1000;
export const HOURLY_READINGS_IN_DAYS = 90;

/** The readings' slots of time, each with the worst of its readings, oldest first; a slot without a reading is left out. */
export function worstBySlot(readings: readonly WorstReading[], slotInMilliseconds: number): WorstReading[] {
  const slots = Map.groupBy(readings, ({ at }) => Math.floor(Date.parse(at) / slotInMilliseconds));
  return [...slots]
    .toSorted(([one], [other]) => one - other)
    .map(([slot, within]) => worstOf(new Date(slot * slotInMilliseconds).toISOString(), within));
}

function worstOf(at: string, readings: readonly WorstReading[]): WorstReading {
  const most = (of: (reading: WorstReading) => number | null): number | null => {
    const known = readings.map(of).filter((count) => count !== null);
    return known.length === 0 ? null : Math.max(...known);
  };
  const levels: NonNullable<Reading["levels"]> = {};
  for (const { levels: told = {} } of readings)
    for (const about of aspects) if (told[about] !== undefined && levels[about] !== "error") levels[about] = told[about];
  return {
    at,
    queue: most(({ queue }) => queue),
    badmail: most(({ badmail }) => badmail),
    oldestAgeInSeconds: most(({ oldestAgeInSeconds }) => oldestAgeInSeconds),
    ...(Object.keys(levels).length === 0 ? {} : { levels }),
  };
}

/**
 * The hours that are over once a reading of a later hour is there, so that an hour is written once and no text is unpacked more often.
 * @param packed as this function gave it last
 * @param readings oldest first: those that were kept, and the newest, before what is older than a day goes
 */
export function withEndedHours(packed: string | undefined, readings: readonly Reading[]): string | undefined {
  const [before, newest] = readings.slice(-2).map(({ at }) => hourOf(at));
  if (before === undefined || newest === undefined || before === newest) return packed;
  const known = unpackHours(packed);
  const last = known.at(-1);
  const oldest = newest - HOURLY_READINGS_IN_DAYS * 24;
  const ended = worstBySlot(readings, HOUR_IN_MILLISECONDS).filter(
    ({ at }) => hourOf(at) < newest && (last === undefined || at > last.at),
  );
  return packHours([...known, ...ended].filter(({ at }) => hourOf(at) >= oldest));
}

const hourOf = (at: string): number => Math.floor(Date.parse(at) / HOUR_IN_MILLISECONDS);

/** Hours since the one before, counts, seconds, levels: much alike from hour to hour, so it deflates well. */
type Column = [hour: number, queue: number | null, badmail: number | null, oldest: number | null, levels: number];

const LEVELS = [undefined, "warning", "error"] as const;

function packHours(hours: readonly WorstReading[]): string {
  let last = 0;
  const columns = hours.map(({ at, queue, badmail, oldestAgeInSeconds, levels = {} }): Column => {
    const hour = hourOf(at);
    const since = hour - last;
    last = hour;
    return [since, queue, badmail, oldestAgeInSeconds, levelsNumber(levels)];
  });
  return deflateRawSync(JSON.stringify(columns)).toString("base64");
}

export function unpackHours(packed: string | undefined): WorstReading[] {
  if (packed === undefined) return [];
  let hour = 0;
  const columns = JSON.parse(inflateRawSync(Buffer.from(packed, "base64")).toString()) as Column[];
  return columns.map(([since, queue, badmail, oldestAgeInSeconds, number]) => {
    hour += since;
    const levels = levelsIn(number);
    const at = new Date(hour * HOUR_IN_MILLISECONDS).toISOString();
    return { at, queue, badmail, oldestAgeInSeconds, ...(number === 0 ? {} : { levels }) };
  });
}

/** A digit of base 3 for each thing. */
const levelsNumber = (levels: NonNullable<Reading["levels"]>): number =>
  aspects.reduce((number, about, place) => number + LEVELS.indexOf(levels[about]) * 3 ** place, 0);

const levelsIn = (number: number): NonNullable<Reading["levels"]> =>
  Object.fromEntries(
    aspects
      .map((about, place): [Aspect, (typeof LEVELS)[number]] => [about, LEVELS[Math.floor(number / 3 ** place) % 3]])
      .filter(([, level]) => level !== undefined),
  );
