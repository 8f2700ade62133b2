/** Filters: whatever a value holds, it stays a value. */
import { randomUUID } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { all, type FilterValue, rowsBeginning, where } from "../../shared/stores/filter.ts";
import { createStorage } from "../../shared/stores/storage.ts";
import { createTable } from "../../shared/stores/table.ts";
import { ownAccount } from "../support/own-account.ts";

test("quotes in a text are doubled, so that it can't end", () => {
  expect(where("tenantId", "eq", "a' or PartitionKey ne '").odata).toBe("tenantId eq 'a'' or PartitionKey ne '''");
});

test("what is no plain value is refused: the SDK would pass it unquoted", () => {
  const strangers: unknown[] = [
    ["x"],
    {},
    null,
    undefined,
    new String("x"),
    { toString: () => "true" },
    Number.NaN,
    Infinity,
    10n,
    new Date(Number.NaN),
  ];
  for (const stranger of strangers) expect(() => where("tenantId", "eq", stranger as FilterValue)).toThrow(TypeError);
});

test("a property's name can't smuggle a filter in", () => {
  expect(() => where("a eq 1 or b", "eq", 1)).toThrow(TypeError);
});

test("numbers, booleans and dates are written as OData has them", () => {
  const filter = all(where("n", "ge", 3), where("big", "lt", 5e12), where("b", "eq", true), where("t", "gt", new Date(0)));
  expect(filter.odata).toBe(
    "(n ge 3) and (big lt 5000000000000.0) and (b eq true) and (t gt datetime'1970-01-01T00:00:00.000Z')",
  );
});

test("a text finds itself and no other row, whatever is in it", async () => {
  const credential = { getToken: () => Promise.reject(new Error("unused")) };
  const table = createTable(createStorage({ connection: ownAccount() }, credential), "filters");
  const partitionKey = randomUUID();
  await table.create({ partitionKey, rowKey: "r_other", text: "other" });
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 20 }), async (text) => {
      const rowKey = `r_${randomUUID()}`;
      await table.create({ partitionKey, rowKey, text });
      const found = await table.all(
        all(rowsBeginning(partitionKey, "r_"), where("text", "eq", text), where("RowKey", "eq", rowKey)),
      );
      const other = await table.all(all(rowsBeginning(partitionKey, "r_"), where("text", "eq", `${text}' or text eq 'other`)));
      expect([found.map((row) => row.rowKey), other]).toEqual([[rowKey], []]);
    }),
    { numRuns: 25 },
  );
});
