/** The presubmit tests see code as it is: without this, a test that finds nothing would say nothing. */
import { expect, test } from "vitest";
import { codeOnly, importsOf, withoutComments } from "./sources.ts";

test("comments go, and what only looks like one stays", () => {
  const code = 'const a = "// no"; // yes\nconst b = /"\\/\\*/.test(a); /* yes */ const c = `https://${a}`;';
  expect(withoutComments(code)).toBe('const a = "// no"; \nconst b = /"\\/\\*/.test(a);  const c = `https://${a}`;');
});

test("strings and regular expressions are no code, what a template computes is", () => {
  const code = 'const a = "Date.now()"; const b = /Math.random/; const c = `${Date.now()} await`; const d = 6 / 2 / 1;';
  expect(codeOnly(code)).toBe('const a = ""; const b = ""; const c = (Date.now()); const d = 6 / 2 / 1;');
});

test("imports are found with their kind, also over several lines", () => {
  const imports = importsOf("shared/durable/resources.ts");
  expect(imports).toContainEqual({
    specifier: "../errors.ts",
    file: "shared/errors.ts",
    typeOnly: false,
    statement: 'import { ControlPlaneError } from "../errors.ts"',
  });
  expect(imports.filter(({ typeOnly }) => typeOnly).map(({ file }) => file)).toContain("shared/durable/routine.ts");
});
