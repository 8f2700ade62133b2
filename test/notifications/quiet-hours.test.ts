/** Quiet hours end when the clock on the recipient's wall says so, also in the nights in which it is put forward or back. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { awakeFrom } from "../../functions/notifications/quiet-hours.ts";

const MINUTE = 60_000;
const twoDigits = (value: number): string => String(value).padStart(2, "0");
const timeOfDay = fc
  .integer({ min: 0, max: 24 * 60 - 1 })
  .map((minutes) => `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`);
const timeZone = fc.constantFrom(
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Asia/Kolkata",
  "Australia/Lord_Howe",
  "Pacific/Chatham",
  "Pacific/Apia",
);

const walls = new Map<string, Intl.DateTimeFormat>();
function wallIn(zone: string): Intl.DateTimeFormat {
  const wall = walls.get(zone) ?? new Intl.DateTimeFormat("sv-SE", { timeZone: zone, timeStyle: "medium" });
  walls.set(zone, wall);
  return wall;
}

/** Told in another way: what the wall shows, as text. */
function quiet(at: number, zone: string, { from, to }: { from: string; to: string }): boolean {
  const wall = wallIn(zone).format(at).slice(0, 5);
  return from < to ? wall >= from && wall < to : wall >= from || wall < to;
}

test("the first moment that isn't quiet is what a look at the wall in each minute finds", () => {
  const time = fc.oneof(
    fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2028, 0, 1) }),
    // Around the changes of clocks in Berlin, New York and Lord Howe.
    fc
      .tuple(
        fc.constantFrom(Date.UTC(2026, 2, 29), Date.UTC(2026, 9, 25), Date.UTC(2026, 10, 1), Date.UTC(2027, 3, 3)),
        fc.integer({ min: -12 * 60, max: 24 * 60 }),
      )
      .map(([day, minutes]) => day + minutes * MINUTE + 1234),
  );
  fc.assert(
    fc.property(time, timeZone, timeOfDay, timeOfDay, (at, zone, from, to) => {
      fc.pre(from !== to);
      const hours = { from, to };
      const found = awakeFrom({ timeZone: zone, quietHours: hours }, at);
      let expected = quiet(at, zone, hours) ? Math.floor(at / MINUTE) * MINUTE : at;
      while (quiet(expected, zone, hours)) expected += MINUTE;
      // When clocks go forward over the end, the first quarter after it will do.
      expect(found - expected).toBeGreaterThanOrEqual(0);
      expect(found - expected).toBeLessThan(15 * MINUTE);
      expect(quiet(found, zone, hours)).toBe(false);
    }),
    { numRuns: 40 },
  );
});

test.each([
  ["2026-11-20T23:30:00Z", "2026-11-21T06:00:00.000Z"],
  ["2026-11-20T12:00:00Z", "2026-11-20T12:00:00.000Z"],
  // In the night to the 29th of March the clock skips an hour, in that to the 25th of October it shows one twice.
  ["2026-03-28T22:00:00Z", "2026-03-29T05:00:00.000Z"],
  ["2026-10-24T22:00:00Z", "2026-10-25T06:00:00.000Z"],
])("from 22 to 7 in Berlin, %s waits until %s", (at, expected) => {
  const hours = { timeZone: "Europe/Berlin", quietHours: { from: "22:00", to: "07:00" } };
  expect(new Date(awakeFrom(hours, Date.parse(at))).toISOString()).toBe(expected);
});
