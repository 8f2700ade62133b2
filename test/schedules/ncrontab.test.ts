/** The next run of a timer is the one that another reader of NCRONTAB names. */
import { Cron } from "croner";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { nextRun } from "../../functions/schedules/ncrontab.ts";

const field = (least: number, most: number) => {
  const value = fc.integer({ min: least, max: most });
  const range = fc.tuple(value, value).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
  return fc.oneof(
    fc.constant("*"),
    value.map(String),
    range,
    fc.integer({ min: 1, max: Math.min(15, most) }).map((step) => `*/${step}`),
    fc.tuple(range, fc.integer({ min: 1, max: 5 })).map(([text, step]) => `${text}/${step}`),
    fc.array(value, { minLength: 2, maxLength: 4 }).map((all) => all.join(",")),
  );
};

test("the next run of any expression is the one that another reader finds", () => {
  const expression = fc.tuple(field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6));
  const time = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2030, 0, 1) });
  fc.assert(
    fc.property(expression, time, (fields, after) => {
      const text = fields.join(" ");
      const theirs = new Cron(text, { paused: true, timezone: "UTC", domAndDow: true }).nextRun(new Date(after));
      expect([text, nextRun(text, after)?.toISOString()]).toEqual([text, theirs?.toISOString()]);
    }),
  );
});

test.each([
  ["0 */5 * * * *", "2026-11-22T10:00:00Z", "2026-11-22T10:05:00.000Z"],
  ["*/5 * * * *", "2026-11-22T10:04:59Z", "2026-11-22T10:05:00.000Z"],
  ["0 0 3 * * MON-FRI", "2026-11-20T03:00:00Z", "2026-11-23T03:00:00.000Z"],
  ["0 0 0 29 FEB *", "2026-11-20T03:00:00Z", "2028-02-29T00:00:00.000Z"],
  ["0 0 0 31 2 *", "2026-11-20T03:00:00Z", undefined],
  ["0 61 * * * *", "2026-11-20T03:00:00Z", undefined],
  ["hello", "2026-11-20T03:00:00Z", undefined],
])("%s after %s", (expression, after, expected) => {
  expect(nextRun(expression, Date.parse(after))?.toISOString()).toBe(expected);
});
