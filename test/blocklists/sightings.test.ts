/** What answers make of an address: unknown ones nothing, two of one kind a listing, three of the other its end; who comes and goes flaps. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Known, see } from "../../functions/blocklists/sightings.ts";
import type { Verdict } from "../../shared/dns/blocklist-answers.ts";

const MINUTE = 60_000;
const start = Date.UTC(2030, 0, 1);
const pace = { confirmAfterInSeconds: 60 };
const listed: Verdict = { state: "listed", codes: ["127.0.0.2"] };
const clean: Verdict = { state: "clean" };

interface Answer {
  verdict: Verdict;
  minutes: number;
}

/** `turn minute` of each turn, and what is known in the end. */
function play(answers: Answer[]): { known: Known; turns: string[] } {
  let known: Known = {};
  let minute = 0;
  const turns: string[] = [];
  for (const { verdict, minutes } of answers) {
    minute += minutes;
    const { turn, ...rest } = see(known, verdict, start + minute * MINUTE, pace);
    known = rest;
    if (turn) turns.push(`${turn} ${minute}`);
  }
  return { known, turns };
}

const every = (minutes: number, verdict: Verdict, count: number): Answer[] =>
  Array.from({ length: count }, () => ({ verdict, minutes }));
const answerOf = (verdict: fc.Arbitrary<Verdict>) => fc.record({ verdict, minutes: fc.constantFrom(0, 1, 5, 60, 24 * 60) });
const heard = answerOf(fc.constantFrom(listed, clean));

test("unknown answers make no difference, wherever they come", () => {
  const unknown = fc.constant<Answer>({ verdict: { state: "unknown", reason: "refused" }, minutes: 0 });
  fc.assert(
    fc.property(fc.array(fc.oneof(heard, unknown)), (answers) => {
      expect(play(answers)).toEqual(play(answers.filter(({ verdict }) => verdict.state !== "unknown")));
    }),
  );
});

test("confirmed and cleared alternate, and each needs its answers in a row, a minute apart", () => {
  fc.assert(
    fc.property(fc.array(heard, { maxLength: 60 }), (answers) => {
      let known: Known = {};
      let [now, expected] = [start, "confirmed"];
      let row: { state: string; times: number[] } = { state: "", times: [] };
      for (const { verdict, minutes } of answers) {
        now += minutes * MINUTE;
        if (row.state !== verdict.state) row = { state: verdict.state, times: [] };
        if (now - (row.times.at(-1) ?? 0) >= MINUTE) row.times.push(now);
        const { turn, ...rest } = see(known, verdict, now, pace);
        known = rest;
        if (turn === undefined || turn === "flapping") continue;
        expect(turn).toBe(expected);
        expect(row.state).toBe(turn === "confirmed" ? "listed" : "clean");
        expect(row.times.length).toBeGreaterThanOrEqual(turn === "confirmed" ? 2 : 3);
        expected = turn === "confirmed" ? "cleared" : "confirmed";
      }
    }),
  );
});

test("an answer counts only after the one before it has lived its time", () => {
  const long: Verdict = { ...listed, ttlInSeconds: 600 };
  const minutely = (verdict: Verdict, count: number) => every(1, verdict, count);
  expect(play([...minutely(long, 10)]).turns).toEqual([]);
  expect(play([...minutely(long, 12)]).turns).toEqual(["confirmed 11"]);
  expect(play([...minutely(long, 11), ...minutely(clean, 30)]).turns).toEqual(["confirmed 11", "cleared 32"]);
});

describe("an address that comes and goes", () => {
  const round: Answer[] = [...every(5, listed, 2), ...every(5, clean, 3)];
  const rounds = (count: number): Answer[] => Array.from({ length: count }, () => round).flat();

  test("flaps when it is listed for the third time within a day, and is not cleared before it was clean for one", () => {
    const { known, turns } = play(rounds(8));
    expect(turns).toEqual(["confirmed 10", "cleared 25", "confirmed 35", "cleared 50", "confirmed 60"]);
    expect(known.sighting).toMatchObject({ state: "clearing", flapping: { toldAt: "2030-01-01T01:00:00.000Z" } });
    const day = { verdict: clean, minutes: 24 * 60 };
    expect(play([...rounds(8), day]).turns.at(-1)).toBe(`cleared ${8 * 25 + 24 * 60}`);
  });

  test("is told of once a day", () => {
    const days = 3;
    const { turns } = play(rounds(Math.floor((days * 24 * 60) / 25)));
    expect(turns.slice(5)).toHaveLength(days - 1);
    expect(turns.slice(5).every((turn) => turn.startsWith("flapping"))).toBe(true);
  });

  test("does not flap when a day lies in between", () => {
    const slowly = rounds(5).map((one, index) => (index % 5 === 0 ? { ...one, minutes: 24 * 60 } : one));
    expect(play(slowly).known.sighting).toBeUndefined();
    expect(play(slowly).turns).toHaveLength(10);
  });
});

test("a code that nobody mapped is shown, and forgotten with a clean answer", () => {
  const unmapped: Verdict = { state: "unknown", reason: "unknownCode", codes: ["127.0.0.1"] };
  const answers = (...verdicts: Verdict[]) => play(verdicts.map((verdict) => ({ verdict, minutes: 1 }))).known.sighting?.state;
  expect([answers(unmapped), answers(unmapped, clean), answers(unmapped, listed)]).toEqual(["unmapped", undefined, "suspected"]);
  expect([answers(listed, unmapped), answers(listed, listed, unmapped)]).toEqual(["suspected", "listed"]);
});
