/** A year of listings by chance, with hosts that are killed: limits hold, no case is left lying, no timer is lost. */
import { expect, test } from "vitest";
import { playYears, wrongIn } from "../support/delisting-years.ts";

test("forty days: asked once a day and thrice a month at most, each case closed or escalated within nine days", async () => {
  const year = await playYears(20260301, { days: 40, addresses: 1 });
  expect(wrongIn(year)).toEqual([]);
  expect(year.cases.length).toBeGreaterThan(3);
  expect(year.kills).toBeGreaterThan(5);
});
