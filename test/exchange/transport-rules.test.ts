/** Only the relative order of our rules is ours: where a new one goes, and where one that a person moved goes back. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { RuleKind } from "../../shared/exchange/rule-kinds.ts";
import { type Ours, placeOf, placeOfNew } from "../../shared/exchange/transport-rules.ts";

const kinds: RuleKind[] = [
  "guardRule",
  "bypassRule",
  "forwardingRule",
  "groupForwardingRule",
  "incomingForwardingRule",
  "incomingGroupForwardingRule",
  "approvalRule",
  "stripRule",
];
const others = ["dlp", "disclaimer", "encryption"];

/** As Exchange does: a new priority shifts those from there on down; a moved rule is taken out first. */
const oursIn = (rules: string[]): Ours =>
  Object.fromEntries(kinds.flatMap((kind) => (rules.includes(kind) ? [[kind, rules.indexOf(kind)]] : [])));
const inserted = (rules: string[], rule: string, place: number): string[] => rules.toSpliced(place, 0, rule);
const moved = (rules: string[], rule: string, place: number): string[] =>
  inserted(
    rules.filter((one) => one !== rule),
    rule,
    place,
  );
const inOrder = (rules: string[]): boolean => {
  const places = kinds.filter((kind) => rules.includes(kind)).map((kind) => rules.indexOf(kind));
  return places.every((place, index) => index === 0 || place > (places[index - 1] ?? -1));
};

test("in whichever order they are made, ours stand in their order and other people's keep theirs", () => {
  const permutations = fc.shuffledSubarray(kinds, { minLength: kinds.length });
  fc.assert(
    fc.property(permutations, fc.shuffledSubarray(others), (order, there) => {
      let rules: string[] = there;
      for (const kind of order) rules = inserted(rules, kind, placeOfNew(kind, oursIn(rules)));
      expect(inOrder(rules)).toBe(true);
      expect(rules[0]).toBe("guardRule");
      expect(rules.filter((rule) => !kinds.includes(rule as RuleKind))).toEqual(there);
    }),
  );
});

test("from any disorder, repairing each rule once puts ours in order and moves nobody else's past another's", () => {
  const disorder = fc.shuffledSubarray([...kinds, ...others], { minLength: kinds.length + others.length });
  fc.assert(
    fc.property(disorder, fc.shuffledSubarray(kinds, { minLength: kinds.length }), (there, order) => {
      let rules = there;
      for (const kind of [...order, ...kinds]) {
        const place = placeOf(kind, oursIn(rules));
        if (place !== undefined) rules = moved(rules, kind, place);
      }
      expect(inOrder(rules)).toBe(true);
      expect(rules.filter((rule) => others.includes(rule))).toEqual(there.filter((rule) => others.includes(rule)));
    }),
  );
});

test("who stands right isn't moved", () => {
  expect(kinds.map((kind) => placeOf(kind, { guardRule: 2, forwardingRule: 5, approvalRule: 9, stripRule: 11 }))).toEqual(
    kinds.map(() => undefined),
  );
  expect(placeOf("guardRule", {})).toBeUndefined();
});
