/** Each kind of a guest document: the fixtures say what Windows' documentation promises, and engine and simulator both have to satisfy them. */
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import type { Node } from "web-tree-sitter";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import { xmlDifferences } from "../../infra/local/clouds/guest/xml.ts";
import { knownValues } from "../../infra/local/clouds/guest/values.ts";
import { documentSchema } from "../../infra/local/clouds/guest/document.ts";
import { type GuestDocument, guestKinds } from "../../shared/guest/document.ts";
import { everyNode, grammar } from "../support/syntax-trees.ts";
import { createMachine, document } from "./machine.ts";

interface Case {
  name: string;
  secrets?: Record<string, string>;
  before: Partial<GuestState>;
  document: Partial<GuestDocument>;
  /** What differs before; left out where that can't be told. */
  differences?: string[];
  /** The engine's code, where it has to fail. */
  error?: string;
  after?: Partial<GuestState>;
  /** Texts of XML nodes afterwards, by path in the first file. */
  nodes?: Record<string, string>;
  /** Pieces that a file still has afterwards. */
  contains?: Record<string, string[]>;
  /** Firewall rules that have to be among the machine's. */
  rules?: Record<string, unknown>[];
}

interface Fixture {
  kind: string;
  source: string[];
  engine: { functions: string[]; uses: string[] };
  cases: Case[];
}

const folder = new URL("fixtures/", import.meta.url);
const fixtures = readdirSync(folder).map((name): Fixture => JSON.parse(readFileSync(new URL(name, folder), "utf8")));

test("every kind of the schema has its fixture", () => {
  expect(fixtures.map(({ kind }) => kind).toSorted()).toEqual([...guestKinds].toSorted());
});

const cases = fixtures.flatMap(({ kind, cases: all }) => all.map((one) => ({ kind, ...one })));

describe("the simulated Windows", () => {
  test.each(cases)("$kind: $name", async ({ before, secrets, document: sections, ...wanted }) => {
    const machine = createMachine(before, secrets);
    const desired = document(sections);
    const untouched = structuredClone(machine.state());
    const tested = await machine.run("test", desired);
    expect(machine.state()).toEqual(untouched);
    if (wanted.differences !== undefined) expect(tested.differences).toEqual(wanted.differences);

    const set = await machine.run("set", desired);
    expect(set.error?.code).toBe(wanted.error);
    if (wanted.error === undefined) {
      expect(set).toMatchObject({ inDesiredState: true, differences: [], changed: wanted.differences ?? [] });
      const once = machine.state();
      expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true, changed: [] });
      expect(machine.state()).toEqual(once);
    }
    if (wanted.after !== undefined) expect(machine.state()).toMatchObject(wanted.after);
    if (wanted.rules !== undefined)
      expect(machine.state().firewall).toEqual(expect.arrayContaining(wanted.rules.map((rule) => expect.objectContaining(rule))));
    for (const [path, pieces] of Object.entries(wanted.contains ?? {}))
      for (const piece of pieces) expect(machine.state().files[path.toLowerCase()]?.text).toContain(piece);
    const [file = ""] = (sections.xml ?? []).map((entry) => entry.file);
    const nodes = Object.entries(wanted.nodes ?? {}).map(([path, value]) => ({ path, value }));
    const expected = documentSchema.parse(document(nodes.length === 0 ? {} : { xml: [{ file, nodes }] }));
    expect(xmlDifferences(machine.state(), expected, knownValues(new Map()))).toEqual([]);
  });
});

describe("the engine", () => {
  /** Words of each function: commands, parameters, types, members and the words of its texts. */
  const words = new Map<string, Set<string>>();
  const calls = new Map<string, string[]>();
  beforeAll(async () => {
    const parse = await grammar("powershell");
    const { rootNode } = parse(await readFile(new URL("../../shared/guest/engine.ps1", import.meta.url), "utf8"));
    for (const definition of everyNode(rootNode)) {
      if (definition.type !== "function_statement") continue;
      const all: Node[] = [...everyNode(definition)];
      const name = all.find(({ type }) => type === "function_name")?.text ?? "";
      calls.set(
        name,
        all.filter(({ type }) => type === "command_name").map(({ text }) => text),
      );
      const own = all.filter(({ type, childCount }) => type !== "comment" && (childCount === 0 || type === "type_literal"));
      words.set(name, new Set(own.flatMap(({ text }) => [text, ...text.split(/['",\s]+/)])));
    }
  });

  const reached = (names: string[], seen = new Set<string>()): Set<string> => {
    for (const name of names)
      if (words.has(name) && !seen.has(name)) {
        seen.add(name);
        reached(calls.get(name) ?? [], seen);
      }
    return seen;
  };

  test.each(fixtures)("$kind: tests and sets it with what Windows' documentation names", ({ engine, source }) => {
    for (const name of engine.functions) expect(words.has(name), name).toBe(true);
    const used = new Set([...reached(engine.functions)].flatMap((name) => [...(words.get(name) ?? [])]));
    expect(engine.uses.filter((word) => !used.has(word))).toEqual([]);
    for (const address of source) expect(address).toMatch(/^https:\/\/learn\.microsoft\.com\//);
  });

  test.each(fixtures)("$kind: is looked at in every run, and set in every run that sets", ({ kind, engine: { functions } }) => {
    const named = (name: string): boolean => [...(words.get(name) ?? [])].includes(kind);
    // Evidence is waited for, before anything is compared.
    const setting = kind === "evidence" ? "Wait-SetUp" : "Set-Differences";
    expect([named("Get-Differences"), named(setting)]).toEqual([true, true]);
    const fromThere = reached(["Get-Differences", setting]);
    expect(functions.filter((name) => !fromThere.has(name))).toEqual([]);
  });
});
