/** InvokeCommand's JSON: how PowerShell values are written into it, and what is taken off its answers. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { encodeParameters, type ParameterValue, withoutAnnotations } from "../../shared/exchange/encoding.ts";

const encode = (parameters: Record<string, ParameterValue | undefined>): unknown => encodeParameters(parameters, { nulls: true });

test("a hashtable carries its type tag, nested ones too", () => {
  expect(encode({ IPAllowList: { Add: ["203.0.113.7"], Remove: ["198.51.100.4"] } })).toEqual({
    IPAllowList: { "@odata.type": "#Exchange.GenericHashTable", Add: ["203.0.113.7"], Remove: ["198.51.100.4"] },
  });
  expect(encode({ Outer: { Inner: { Add: [] } } })).toEqual({
    Outer: { "@odata.type": "#Exchange.GenericHashTable", Inner: { "@odata.type": "#Exchange.GenericHashTable", Add: [] } },
  });
});

test("an empty hashtable is the tag alone: it clears", () => {
  expect(encode({ IPAllowList: {} })).toEqual({ IPAllowList: { "@odata.type": "#Exchange.GenericHashTable" } });
});

test("a list of hashtables is tagged beside it", () => {
  expect(encode({ Rules: [{ Name: "a" }] })).toEqual({
    "Rules@odata.type": "#Collection(Exchange.GenericHashTable)",
    Rules: [{ Name: "a" }],
  });
});

test("a date is UTC with seven digits of a second", () => {
  expect(encode({ At: new Date("2026-03-01T10:00:00.250Z") })).toEqual({ At: "2026-03-01T10:00:00.2500000Z" });
});

test("what is undefined is never sent, null only where it clears", () => {
  expect(encodeParameters({ Name: "x", From: undefined, FromScope: null }, { nulls: true })).toEqual({
    Name: "x",
    FromScope: null,
  });
  expect(encodeParameters({ Name: "x", From: undefined, FromScope: null }, { nulls: false })).toEqual({ Name: "x" });
});

test("switches, strings, numbers and lists travel as they are", () => {
  const plain = fc.dictionary(
    fc.stringMatching(/^[A-Z][A-Za-z]{0,20}$/),
    fc.oneof(fc.boolean(), fc.string(), fc.integer(), fc.array(fc.string())),
  );
  fc.assert(
    fc.property(plain, (parameters) => {
      expect(encode(parameters)).toEqual({ ...parameters });
    }),
  );
});

test("annotations of the wire are no properties", () => {
  expect(
    withoutAnnotations({
      "@odata.type": "#x",
      Name: "a",
      "Guid@odata.type": "#Guid",
      "WhenChanged@data.type": "System.DateTime",
    }),
  ).toEqual({ Name: "a" });
});
