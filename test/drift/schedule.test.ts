/** Whose turn it is: often after a change, seldom when quiet, nobody forgotten and nobody at once. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { due, intervalOf } from "../../functions/drift/schedule.ts";

const pace = { shortestInSeconds: 3600, longestInSeconds: 12 * 3600, repairsADay: 3 };
const minutes = (count: number): number => count * 60_000;
const hours = (count: number): number => minutes(60 * count);

/** When a tenant is looked at that stays as it is, by a sweep every quarter of an hour. */
function looksOf(key: string, from: number, until: number): number[] {
  const looks: number[] = [];
  for (let now = from + minutes(15); now <= until; now += minutes(15))
    if (due(key, from, now - minutes(15), now, pace)) looks.push(now - from);
  return looks;
}

test("the interval grows with the quiet, from the shortest to the longest", () => {
  const after = (quiet: number) => intervalOf(0, quiet, pace) / hours(1);
  expect([0, hours(1), hours(4), hours(8), hours(16), hours(24), hours(1000)].map(after)).toEqual([1, 1, 2, 4, 8, 8, 12]);
  expect(intervalOf(undefined, 0, pace)).toBe(hours(1));
});

test("within an hour of a change, then less and less: a day has about ten looks at first, and two later", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.integer({ min: 0, max: 2_000_000 }), (key, start) => {
      const from = start * minutes(15);
      const looks = looksOf(key, from, from + hours(240));
      expect(looks[0]).toBeLessThanOrEqual(hours(1));
      for (const [index, look] of looks.entries())
        if (index > 0) expect(look - (looks[index - 1] ?? 0)).toBeLessThanOrEqual(2 * hours(12));
      expect(looks.filter((look) => look <= hours(24)).length).toBeLessThanOrEqual(12);
      const lastDays = looks.filter((look) => look > hours(192)).length;
      expect(lastDays).toBeGreaterThanOrEqual(3);
      expect(lastDays).toBeLessThanOrEqual(5);
    }),
    { numRuns: 20 },
  );
});

test("a sweep that was missed is made up for, and a fleet that became quiet at once is spread over the interval", () => {
  expect(due("any", 0, hours(200), hours(212), pace)).toBe(true);
  expect(due("any", 0, undefined, hours(212), pace)).toBe(true);
  expect(due("any", undefined, hours(212), hours(212), pace)).toBe(true);
  const fleet = Array.from({ length: 4800 }, (_, index) => `northwind tenant-${index}`);
  const turns = fleet.filter((key) => due(key, 0, hours(300), hours(300) + minutes(15), pace)).length;
  expect(turns).toBeGreaterThan(60);
  expect(turns).toBeLessThan(140);
});
