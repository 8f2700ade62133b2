/** Years of listings by chance over the real cases and the real orchestration, with hosts that are killed. */
import { expect, test } from "vitest";
import { playYears, wrongIn } from "../support/delisting-years.ts";

const FIRST_SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const YEARS = 6;

test.each(Array.from({ length: YEARS }, (_, index) => FIRST_SEED + index))(
  "365 days by seed %i: limits hold, each case is closed or escalated within nine days, no timer is lost",
  async (seed) => {
    const year = await playYears(seed);
    expect(wrongIn(year)).toEqual([]);
    const submissions = [...year.asked.values()].flat().length;
    console.log(`seed ${seed}: ${year.cases.length} cases, ${submissions} requests, ${year.kills} kills of the host`);
    expect(submissions).toBeGreaterThan(20);
    expect(year.cases.some(({ previousCaseId }) => previousCaseId !== undefined)).toBe(true);
    expect(year.kills).toBeGreaterThan(60);
  },
);
