/** What stands goes on without what is gone: an hour without any dependency, and then everything that waited. */
import { expect, test } from "vitest";
import { playOutage } from "../support/outage.ts";

const MESSAGES = Number(process.env["OUTAGE_MESSAGES"] ?? 10_000);

test(`an hour without clouds, names and tables, and ${MESSAGES} messages that wait: nothing is called well, and all is caught up`, {
  timeout: 7_200_000,
}, async () => {
  const { before, during, after, waiting, left, rotations, told, events, busiest, throttled } = await playOutage(MESSAGES);
  console.log(`${waiting} messages waited; requests in the busiest minute: ${JSON.stringify(busiest)}`);
  expect(before).toMatchObject({ health: "stopped", listed: "listed" });
  expect(during).toHaveLength(12);
  expect(during.at(-1)).toBe("unavailable");
  for (const seen of during.slice(0, -1)) {
    expect(seen).toMatchObject({ listed: "listed", health: expect.stringMatching(/^(stopped|unknown)$/) as string });
    expect(seen).not.toMatchObject({ caseState: "closed" });
  }

  expect(waiting).toBeGreaterThanOrEqual(MESSAGES);
  expect(left).toEqual({ active: 0, scheduled: 0, dead: [] });
  expect(after).toEqual({ health: "healthy", listed: "clean", caseState: "closed" });
  // One of them made a secret, which is now looked at for a day before it counts as rotated.
  expect(rotations).toEqual(["Running"]);
  expect(events.size).toBeGreaterThan(4);
  expect([...events].filter((id) => !told.has(id))).toEqual([]);

  expect(throttled).toBe(0);
  for (const [cloud, count] of Object.entries(busiest.after))
    expect.soft({ cloud, tooMany: Math.max(0, count - 2 * (busiest.calm[cloud] ?? 0) - 20) }).toEqual({ cloud, tooMany: 0 });
});
