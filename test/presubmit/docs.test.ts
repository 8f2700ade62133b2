/** What is written stays true: links lead somewhere, decisions are in the index, and the project speaks of itself only. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { noWayBack, remains, stays } from "../../shared/resources/irreversible.ts";
import { serverAssigned } from "../support/server-assigned.ts";
import { filesIn, read, root } from "./sources.ts";

const documents = (): string[] => filesIn(".").filter((file) => file.endsWith(".md"));
const withoutCode = (markdown: string): string => markdown.replaceAll(/^```[\s\S]*?^```/gm, "").replaceAll(/`[^`\n]*`/g, "");

/** GitHub's rule: lower case, punctuation goes, spaces become dashes. */
const anchorsOf = (file: string): string[] =>
  [
    ...read(file)
      .replaceAll(/^```[\s\S]*?^```/gm, "")
      .matchAll(/^#{1,6} (.+)$/gm),
  ].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-"),
  );

test("every link in a document leads to a file, and every anchor to a heading", () => {
  const broken = documents().flatMap((document) =>
    [...withoutCode(read(document)).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = ""]) => target)
      .filter((target) => !/^(https?|mailto):/.test(target))
      .filter((target) => {
        const [file = "", anchor] = target.split("#");
        const linked = file === "" ? document : path.posix.join(path.posix.dirname(document), file);
        if (!existsSync(path.join(root, linked))) return true;
        return anchor !== undefined && linked.endsWith(".md") && !anchorsOf(linked).includes(anchor);
      })
      .map((target) => `${document} → ${target}`),
  );
  expect(broken).toEqual([]);
});

test("the page on roll-backs has every reason for which something can't be taken back, and everything that is not compared", () => {
  const page = read("docs/roll-back.md");
  const reasons = [noWayBack, stays, remains, serverAssigned].flatMap((list) => Object.values<string>(list));
  const names = [noWayBack, stays, serverAssigned].flatMap((list) => Object.keys(list));
  expect([...reasons, ...names].filter((one) => !page.includes(one))).toEqual([]);
});

test("every decision is in the index, numbered without a gap", () => {
  const pages = filesIn("infra/decisions").filter((file) => /\/\d{4}-[a-z0-9-]+\.md$/.test(file));
  const index = read("infra/decisions/README.md");
  expect(pages.map((file) => Number(path.basename(file).slice(0, 4)))).toEqual(pages.map((_, position) => position + 1));
  expect(pages.filter((file) => !index.includes(`(${path.basename(file)})`))).toEqual([]);
});

test("every decision has its four parts", () => {
  const pages = filesIn("infra/decisions").filter((file) => /\/\d{4}-/.test(file));
  const parts = (file: string): string[] => [...read(file).matchAll(/^## (.+)$/gm)].map(([, title = ""]) => title);
  expect(pages.filter((file) => parts(file).join() !== "Context,Decision,Status,Consequences")).toEqual([]);
});

/** Written in pieces, so that this file isn't an offender itself. */
const FOREIGN = [
  ["/wo", "rk/"],
  ["helper ", "session"],
  ["npm", "js.org"],
  ["registry", ".npm"],
  ["clau", "de"],
  ["anth", "ropic"],
  ["TO", "DO"],
  ["FIX", "ME"],
].map((pieces) => pieces.join(""));

test("the project speaks only of itself, and leaves nothing to do", () => {
  const textual = filesIn(".").filter(
    (file) => statSync(path.join(root, file)).size < 1_000_000 && !/\.(png|jpg|ico|pfx)$/.test(file),
  );
  const found = textual.flatMap((file) => {
    const text = read(file);
    return FOREIGN.filter((word) => new RegExp(`(?<![a-z])${word}`, "i").test(text)).map((word) => `${file}: ${word}`);
  });
  expect(found).toEqual([]);
});

test("examples use documentation addresses only", () => {
  const examples = ["examples", "docs", "functions", "shared", "infra", "test"]
    .flatMap(filesIn)
    .filter((file) => /\.(md|json)$/.test(file));
  const real = examples.flatMap((file) =>
    [...read(file).matchAll(/\b(?:contoso|fabrikam|northwind)(?:\.[a-z0-9-]+)+/g)]
      .map(([name]) => name)
      .filter((name) => !/\.(?:example|json)$|\.onmicrosoft\./.test(name))
      .map((name) => `${file}: ${name}`),
  );
  expect(real).toEqual([]);
});

test("docs/coverage.md has a state for every row, a test for what is done, and names that exist", () => {
  const rows = [...read("docs/coverage.md").matchAll(/^\| ([A-F]\d+) \| [^|]+ \| (\w[\w ]*) \| ([^|]*)\|$/gm)];
  const expected = { A: 13, B: 16, C: 11, D: 6, E: 10, F: 10 };
  const ids = Object.entries(expected).flatMap(([letter, count]) =>
    Array.from({ length: count }, (_, index) => `${letter}${index + 1}`),
  );
  expect(rows.map(([, id]) => id)).toEqual(ids);
  expect(rows.filter(([, , state]) => !["done", "partly", "not yet"].includes(state ?? "")).map(([row]) => row)).toEqual([]);
  const untested = rows.filter(
    ([, , state, where]) => state === "done" && !/\]\(\.\.\/test\/[^)]+\.test\.ts\)/.test(where ?? ""),
  );
  expect(untested.map(([, id]) => id)).toEqual([]);
  const code = ["functions", "shared"]
    .flatMap(filesIn)
    .filter((file) => file.endsWith(".ts"))
    .map(read)
    .join("\n");
  const named = rows.flatMap(([, , , where = ""]) => [...where.matchAll(/`([a-z][A-Za-z]+)`/g)].map(([, name = ""]) => name));
  expect(named.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
});
