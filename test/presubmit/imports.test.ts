/** Dependencies point down, and names say something. */
import { expect, test } from "vitest";
import { capabilities, filesIn, type Import, importsOf, read } from "./sources.ts";

const typescript = (folder: string): string[] => filesIn(folder).filter((file) => file.endsWith(".ts"));
const inFolder = (folder: string) => (file: string) => file.startsWith(`${folder}/`);

/** `from → to` for every import of ours that `forbidden` names. */
const offences = (files: string[], forbidden: (target: string, from: string, imported: Import) => boolean): string[] =>
  files.flatMap((from) =>
    importsOf(from)
      .filter((imported) => imported.file !== undefined && forbidden(imported.file, from, imported))
      .map(({ file }) => `${from} → ${file}`),
  );

test("nothing in shared knows functions, infra or test", () => {
  expect(offences(typescript("shared"), (target) => !inFolder("shared")(target))).toEqual([]);
});

test("nothing in functions knows infra or test", () => {
  expect(offences(typescript("functions"), (target) => inFolder("infra")(target) || inFolder("test")(target))).toEqual([]);
});

test("no capability imports another", () => {
  const found = capabilities().flatMap((capability) =>
    offences(typescript(`functions/${capability}`), (target) => {
      const folder = /^functions\/([^/]+)\//.exec(target)?.[1];
      return folder !== undefined && folder !== capability;
    }),
  );
  expect(found).toEqual([]);
});

/** From the ground up: a room may import its own row and the rows before it. Types may come from anywhere. */
const ROWS = [
  ["errors.ts", "clock.ts", "log.ts", "cloud-requests.ts", "retry-after.ts"],
  ["environment.ts", "config.ts"],
  ["entra", "tenants"],
  ["acme", "azure", "graph", "exchange", "vault", "dns", "smtp", "guest", "ucm", "webhooks"],
  ["api", "messages"],
  ["stores"],
  ["resources", "durable", "triggers.ts", "desired", "directory"],
  ["runbook", "plans", "proof"],
];

/** What a read gives (present, absent, unknown) and what differs is said by clients too, so these stand below them. */
const VOCABULARY: Record<string, number> = {
  "shared/resources/resource.ts": 0,
  "shared/resources/property-changes.ts": 0,
  "shared/resources/adoptable.ts": 0,
  "shared/resources/kept.ts": 0,
  "shared/resources/observing.ts": 2,
};

test("in shared, dependencies point down: resources → clients and stores → environment → errors", () => {
  const rowOf = (file: string): number => VOCABULARY[file] ?? ROWS.findIndex((row) => row.includes(file.split("/")[1] ?? ""));
  const rooms = typescript("shared");
  expect(rooms.filter((file) => rowOf(file) < 0)).toEqual([]);
  expect(offences(rooms, (target, from, { typeOnly }) => !typeOnly && rowOf(target) > rowOf(from))).toEqual([]);
});

test("the simulated clouds share no code with the clients that they answer", () => {
  const clients = ["azure", "graph", "exchange", "guest", "dns", "smtp", "resources", "stores", "api"].map((room) =>
    inFolder(`shared/${room}`),
  );
  expect(offences(typescript("infra/local/clouds"), (target) => clients.some((client) => client(target)))).toEqual([]);
});

test("the platform on one machine does not reach into the app, and the app's host loads it by package.json", () => {
  expect(offences(typescript("infra/local"), (target) => inFolder("functions")(target))).toEqual([]);
});

test("zod is imported as a namespace, since a named import brings every locale into the bundle", () => {
  const everything = ["functions", "shared", "infra"].flatMap(typescript);
  const wrong = everything.flatMap((file) =>
    importsOf(file)
      .filter(({ specifier, statement }) => specifier === "zod" && !/^import (?:type )?\* as z from "zod"$/.test(statement))
      .map(({ statement }) => `${file}: ${statement}`),
  );
  expect(wrong).toEqual([]);
});

/** arm-network alone is 1.3 MB: it is loaded when first used, never when the app starts. */
test("the Azure resource management SDKs and the ACME client are loaded lazily", () => {
  const eager = ["functions", "shared"].flatMap(typescript).flatMap((file) =>
    importsOf(file)
      .filter(
        ({ specifier, typeOnly, statement }) =>
          /^@azure\/arm-|^acme-client$/.test(specifier) && !typeOnly && !statement.startsWith("import("),
      )
      .map(({ statement }) => `${file}: ${statement}`),
  );
  expect(eager).toEqual([]);
});

test("no file is a drawer", () => {
  const drawers = ["functions", "shared", "infra", "test"]
    .flatMap(filesIn)
    .filter((file) => /(^|[/.-])(utils?|helpers?|common|managers?)([/.-]|$)/.test(file));
  expect(drawers).toEqual([]);
});

test("files are named in kebab case", () => {
  const odd = ["functions", "shared", "infra"].flatMap(typescript).filter((file) => !/^[a-z0-9./-]+\.ts$/.test(file));
  expect(odd).toEqual([]);
});

test("every file begins by saying what it is", () => {
  const silent = ["functions", "shared", "infra", "test"]
    .flatMap(typescript)
    .filter((file) => !/^(#!.*\n)?\/\*\*/.test(read(file)));
  expect(silent).toEqual([]);
});

test("the linter is never silenced", () => {
  const silenced = ["functions", "shared", "infra", "test"]
    .flatMap(typescript)
    .filter(
      (file) =>
        /(oxlint|eslint|biome)-(disable|ignore)|@ts-(ignore|nocheck)/.test(read(file)) &&
        file !== "test/presubmit/imports.test.ts",
    );
  expect(silenced).toEqual([]);
});
