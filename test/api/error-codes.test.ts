/** docs/error-codes.md is the catalogue in words: the same codes, statuses, meanings and remedies, in the same order. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { errorCodes, refusal } from "../../shared/api/error-codes.ts";

test("the page has a row for each code that says what the catalogue says", () => {
  const rows = readFileSync("docs/error-codes.md", "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  expect(rows).toEqual(
    Object.entries(errorCodes).map(
      ([code, { status, meaning, remedy }]) => `| \`${code}\` | ${status} | ${meaning} | ${remedy} |`,
    ),
  );
});

test("a refusal has its code's status, and only what may pass by itself is transient", () => {
  expect(refusal("TenantNotFound", "there is no tenant contoso")).toMatchObject({
    code: "TenantNotFound",
    status: 404,
    transient: false,
  });
  expect(refusal("ServiceUnavailable", "tables don't answer")).toMatchObject({ status: 503, transient: true });
});
