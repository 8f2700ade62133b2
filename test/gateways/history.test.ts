/** A gateway's time line: what is kept of readings and states, and in which window it is shown. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { pointsOf, windowOf } from "../../functions/gateways/history.ts";
import { aspects, type Reading } from "../../shared/api/heartbeat.ts";
import { unpackHours, type WorstReading, withEndedHours, worstBySlot } from "../../shared/stores/hourly-readings.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const start = Date.UTC(2026, 10, 22, 8);

/** As the store calls it: beat by beat, with what it keeps of a day. */
function kept(beats: readonly Reading[]): { packed: string | undefined; readings: Reading[] } {
  let packed: string | undefined;
  let readings: Reading[] = [];
  for (const beat of beats) {
    packed = withEndedHours(packed, [...readings, beat]);
    readings = [...readings.filter(({ at }) => Date.parse(at) > Date.parse(beat.at) - DAY), beat];
  }
  return { packed, readings };
}

const count = fc.option(fc.integer({ min: 0, max: 10_000_000 }));
const beats = fc
  .array(
    fc.record({
      minutes: fc.oneof(
        { weight: 20, arbitrary: fc.integer({ min: 1, max: 90 }) },
        { weight: 1, arbitrary: fc.nat(40 * 24 * 60) },
      ),
      queue: count,
      badmail: count,
      oldestAgeInSeconds: count,
      levels: fc.option(
        fc.dictionary(fc.constantFrom(...aspects), fc.constantFrom("warning" as const, "error" as const), { minKeys: 1 }),
        { nil: undefined },
      ),
    }),
    { maxLength: 60 },
  )
  .map((all) => {
    let at = start;
    return all.map(({ minutes, levels, ...reading }): Reading => {
      at += minutes * MINUTE;
      return { at: new Date(at).toISOString(), ...reading, reply: "250", ...(levels === undefined ? {} : { levels }) };
    });
  });

test("of every hour within 90 days the worst is kept, however seldom a machine reports, and no hour twice", () => {
  fc.assert(
    fc.property(beats, (all) => {
      const { packed } = kept(all);
      const newest = Date.parse(all.at(-1)?.at ?? new Date(start).toISOString());
      const thisHour = Math.floor(newest / HOUR) * HOUR;
      const plain = all.map(({ reply: _reply, ...reading }): WorstReading => reading);
      const expected = worstBySlot(plain, HOUR).filter(({ at }) => {
        const time = Date.parse(at);
        return time < thisHour && time >= thisHour - 90 * DAY;
      });
      expect(unpackHours(packed)).toEqual(expected);
    }),
  );
});

test("the worst of an hour is the most of each count, and the worst level of each thing", () => {
  const reading = (minutes: number, queue: number | null, levels: Reading["levels"] = {}): Reading => ({
    at: new Date(start + minutes * MINUTE).toISOString(),
    queue,
    badmail: 0,
    oldestAgeInSeconds: null,
    reply: "250",
    levels,
  });
  const { packed } = kept([
    reading(5, null, { queue: "error" }),
    reading(15, 60, { queue: "warning", smtp: "warning" }),
    reading(25, 3, { smtp: "error" }),
    reading(65, 0),
  ]);
  expect(unpackHours(packed)).toEqual([
    {
      at: "2026-11-22T08:00:00.000Z",
      queue: 60,
      badmail: 0,
      oldestAgeInSeconds: null,
      levels: { queue: "error", smtp: "error" },
    },
  ]);
});

test("a quarter of busy hours stays far below what a property of a row holds", () => {
  const noise = (seed: number, most: number): number => (seed * 7919 * 104_729) % most;
  const busy = Array.from(
    { length: 91 * 24 },
    (_, hour): Reading => ({
      at: new Date(start + hour * HOUR).toISOString(),
      queue: noise(hour, 997),
      badmail: noise(hour + 3, 89),
      oldestAgeInSeconds: noise(hour + 7, 1801),
      reply: "250",
      ...(noise(hour, 5) === 0 ? { levels: { queue: "error" } } : {}),
    }),
  );
  const packed = withEndedHours(undefined, busy) ?? "";
  expect(unpackHours(packed)).toHaveLength(90 * 24);
  expect(packed.length).toBeLessThan(30_000);
  const quiet = busy.map(({ levels: _levels, ...one }) => ({ ...one, queue: 0, badmail: 0, oldestAgeInSeconds: null }));
  expect(withEndedHours(undefined, quiet)?.length).toBeLessThan(300);
});

const now = start + 7 * MINUTE;
const iso = (time: number): string => new Date(time).toISOString();
const shown = ({ from, to, resolution }: ReturnType<typeof windowOf>): [string, string, string] => [
  resolution,
  iso(from),
  iso(to),
];

test("without a word it is the last day; what is longer ago comes by the hour", () => {
  expect(shown(windowOf({}, now))).toEqual(["PT10M", iso(start - DAY + 10 * MINUTE), iso(now)]);
  expect(shown(windowOf({ resolution: "PT1H" }, now))).toEqual(["PT1H", iso(start - 90 * DAY + HOUR), iso(now)]);
  expect(shown(windowOf({ from: iso(now - DAY) }, now))).toEqual(["PT10M", iso(start - DAY), iso(now)]);
  expect(shown(windowOf({ from: iso(now - 3 * DAY) }, now))).toEqual(["PT1H", iso(start - 3 * DAY), iso(now)]);
  expect(shown(windowOf({ to: iso(now - 3 * DAY) }, now))[0]).toBe("PT1H");
  expect(shown(windowOf({ to: iso(now + DAY) }, now))[2]).toBe(iso(now));
  expect(shown(windowOf({ from: iso(now - 90 * DAY) }, now))[0]).toBe("PT1H");
});

test.each([
  [{ from: iso(now + 1) }, "from", "must be before now"],
  [{ from: iso(now - HOUR), to: iso(now - HOUR) }, "to", "must be after from"],
  [
    { from: iso(now - 2 * DAY), resolution: "PT10M" as const },
    "from",
    "must be within what is kept: 24 hours; with resolution PT1H, 90 days",
  ],
  [
    { to: iso(now - 2 * DAY), resolution: "PT10M" as const },
    "to",
    "must be within what is kept: 24 hours; with resolution PT1H, 90 days",
  ],
  [{ from: iso(now - 91 * DAY) }, "from", "must be within what is kept: 90 days"],
  [{ to: iso(now - 100 * DAY) }, "to", "must be within what is kept: 90 days"],
])("%j is refused: %s %s", (query, target, message) => {
  expect(() => windowOf(query, now)).toThrow(
    expect.objectContaining({ code: "InvalidRequest", details: [{ code: "InvalidField", target, message }] }),
  );
});

test("a point has the worst health of its time, and says when nobody reported", () => {
  const gateway = {
    state: { health: "healthy" as const, reason: "Running", since: iso(start - 15 * MINUTE) },
    past: [
      { health: "healthy" as const, since: iso(start - 35 * MINUTE) },
      { health: "stopped" as const, since: iso(start - 16 * MINUTE) },
    ],
  };
  const reading: Reading = { at: iso(start - 5 * MINUTE), queue: 3, badmail: 0, oldestAgeInSeconds: 9, reply: "250" };
  const record = { readings: [reading], hours: () => [] };
  const from = start - 50 * MINUTE;
  const points = pointsOf(gateway, record, { resolution: "PT10M", from, to: start, begin: from }, now);
  expect(points.map(({ health, reported, queue }) => [health, reported, queue])).toEqual([
    [undefined, false, null],
    ["healthy", false, null],
    ["healthy", false, null],
    ["stopped", false, null],
    ["healthy", true, 3],
  ]);
  const [hour] = pointsOf(gateway, record, { resolution: "PT1H", from: start - HOUR, to: start, begin: start - HOUR }, now);
  expect(hour).toEqual({ at: iso(start - HOUR), health: "stopped", queue: 3, badmail: 0, oldestAgeInSeconds: 9, reported: true });
});
