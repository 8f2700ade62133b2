/** When addresses are asked about: each in its moment, hot ones soon, none before its answer has lived its time. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { due, type Watch } from "../../functions/blocklists/due.ts";
import type { Sighting } from "../../shared/stores/listings.ts";
import { testZone } from "../support/blocklists.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const start = Date.UTC(2030, 0, 1);
const pace = { confirmAfterInSeconds: 60, pollEveryInSeconds: 3600 };
const watchOf = (address: string, more: Partial<Watch> = {}): Watch => ({
  address,
  since: undefined,
  sighting: undefined,
  past: undefined,
  ...more,
});
const isoAt = (time: number) => new Date(time).toISOString();
const addressesOf = (count: number) => Array.from({ length: count }, (_, index) => `198.51.${index >> 8}.${index & 255}`);

/** Minutes in which each of them is asked about, and how many are at once; a run is missed now and then. */
function askedIn(hours: number, watches: Watch[], fleet: number, zone = testZone("any")) {
  const asked = new Map(watches.map(({ address }): [string, number[]] => [address, []]));
  const batches: number[] = [];
  let last = start;
  for (let minute = 1; minute <= hours * 60; minute += minute % 7 === 0 ? 2 : 1) {
    const now = start + minute * MINUTE;
    const these = watches.filter((watch) => due(watch, zone, { last, now, fleet }, pace));
    for (const { address } of these) asked.get(address)?.push(minute);
    if (these.length > 0) batches.push(these.length);
    last = now;
  }
  return { asked: [...asked.values()], batches };
}

describe("an address that isn't listed", () => {
  test("is asked about once an hour while it is new, and the fleet is spread over the hour", () => {
    const watches = addressesOf(4000).map((address) => watchOf(address, { since: isoAt(start) }));
    const { asked, batches } = askedIn(1, watches, 4000);
    expect(asked.filter(({ length }) => length !== 1)).toEqual([]);
    expect(Math.max(...batches)).toBeLessThan(400);
  });

  test("is asked about every four hours when it has been ours and clean for a week, in batches that are worth their tests", () => {
    const { asked, batches } = askedIn(
      4,
      addressesOf(1000).map((address) => watchOf(address)),
      1000,
    );
    expect(asked.filter(({ length }) => length !== 1)).toEqual([]);
    expect(batches.length).toBeLessThanOrEqual(17);
    expect(Math.min(...batches)).toBeGreaterThanOrEqual(30);
  });

  test("is asked about every eight hours by then on a list on which little depends", () => {
    const watches = addressesOf(50).map((address) => watchOf(address));
    const { asked } = askedIn(24, watches, 50, testZone("low", { weight: "low" }));
    expect(asked.filter(({ length }) => length !== 3)).toEqual([]);
  });

  test("is watched again for a week after it was cleared", () => {
    const past = { clearedAt: isoAt(start - 6 * 24 * HOUR) };
    expect(askedIn(4, [watchOf("203.0.113.7", { past })], 10).asked[0]).toHaveLength(4);
    const longAgo = { clearedAt: isoAt(start - 8 * 24 * HOUR) };
    expect(askedIn(4, [watchOf("203.0.113.7", { past: longAgo })], 10).asked[0]).toHaveLength(1);
  });

  test("is asked about once a day on a list that is for information only", () => {
    const watches = addressesOf(50).map((address) => watchOf(address, { since: isoAt(start) }));
    const { asked } = askedIn(48, watches, 50, testZone("info", { weight: "informational" }));
    expect(asked.filter(({ length }) => length !== 2)).toEqual([]);
  });

  test("is asked about so seldom that the fleet keeps within what the list allows in a day", () => {
    const watches = addressesOf(400).map((address) => watchOf(address, { since: isoAt(start) }));
    const { asked } = askedIn(48, watches, 400, testZone("small", { dailyQueries: 1000 }));
    const questions = asked.reduce((sum, { length }) => sum + length, 0) / 2;
    expect(questions).toBeLessThanOrEqual(1000);
    expect(questions).toBeGreaterThan(600);
  });

  test("leaves a list that allows little with its tests within it, too, also while an address is listed there", () => {
    const zone = testZone("least", { dailyQueries: 300 });
    const since = isoAt(start - 24 * HOUR);
    const listed: Sighting = { state: "listed", codes: [], since, at: since };
    const watches = addressesOf(300).map((address, index) => watchOf(address, index === 0 ? { sighting: listed } : {}));
    const { batches } = askedIn(24, watches, 300, zone);
    const questions = batches.reduce((sum, size) => sum + size + 6, 0);
    expect(questions).toBeLessThanOrEqual(330);
    expect(questions).toBeGreaterThan(200);
  });
});

test("a hot address is asked about within five minutes, or when the answer before has lived its time", () => {
  const state = fc.constantFrom<Sighting["state"]>("suspected", "listed", "clearing");
  fc.assert(
    fc.property(state, fc.integer({ min: 0, max: 7200 }), fc.boolean(), (kind, ttlInSeconds, flapping) => {
      const at = isoAt(start);
      const sighting: Sighting = {
        state: kind,
        codes: [],
        since: at,
        at,
        ttlInSeconds,
        ...(kind === "clearing" ? { clean: { answers: 1, first: at, last: at } } : {}),
        ...(flapping && kind !== "suspected" ? { flapping: { toldAt: at } } : {}),
      };
      const [minutes = []] = askedIn(8, [watchOf("203.0.113.7", { sighting })], 10).asked;
      const [first = 0] = minutes;
      expect(first * 60).toBeGreaterThanOrEqual(Math.max(60, ttlInSeconds));
      // A missed run is a minute more, and a listed address has its fixed moments.
      expect(first * 60).toBeLessThanOrEqual(2 * Math.max(300, ttlInSeconds) + 120);
      if (ttlInSeconds <= 300) expect(first * 60).toBeLessThanOrEqual(600 + 120);
    }),
  );
});

test("everything is asked about in the first run", () => {
  expect(due(watchOf("203.0.113.7"), testZone("any"), { last: undefined, now: start, fleet: 1 }, pace)).toBe(true);
});
