/** shared/resources/README.md stays true: every kind with its file, and every code that a resource or its clients can end an operation with. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { rows } from "./rows.ts";

const folder = "shared/resources";
const readme = readFileSync(`${folder}/README.md`, "utf8");
const rowsOf = (heading: string): string[] =>
  (readme.split(`## ${heading}\n`)[1]?.split(/^## /m)[0] ?? "").split("\n").filter((line) => line.startsWith("| `"));

test("the table has each kind once, with its file, and the file begins with the missions that the table names", () => {
  const listed = rowsOf("Kinds").map((row) => row.split("|").map((cell) => cell.trim()));
  expect(listed.map(([, kind = ""]) => kind).sort()).toEqual(
    Object.keys(rows)
      .map((kind) => `\`${kind}\``)
      .sort(),
  );
  for (const [, kind, missions = "", link = ""] of listed) {
    const file = /\((.+)\)/.exec(link)?.[1] ?? "";
    expect({ kind, exists: existsSync(`${folder}/${file}`) }).toEqual({ kind, exists: true });
    const [docstring = ""] = readFileSync(`${folder}/${file}`, "utf8").split("*/");
    const [first = ""] = missions.split(", ");
    expect({ kind, named: docstring.includes(first) }).toEqual({ kind, named: true });
  }
});

test("each error code of resources and clients has its remedy, and none is listed that isn't there", () => {
  const textsIn = (room: string): string[] =>
    readdirSync(room)
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(`${room}/${name}`, "utf8"));
  const areas = ["resources", "azure", "exchange", "graph", "entra", "vault", "guest", "durable", "dns", "acme"];
  const sources = areas.flatMap((area) => textsIn(`shared/${area}`));
  // What stops an operation beside its resources has its own table there, and may stand here too.
  const beside = ["functions/onboarding", "functions/mail-flow", "shared/runbook", "shared/proof", "shared/stores"].flatMap(
    textsIn,
  );
  const raised = sources.flatMap((text) =>
    [
      ...text.matchAll(
        /(?:ControlPlaneError|failed|refusal|unknown)\(\s*"([A-Z][A-Za-z]+)"|\bcode: (?:[^,"\n]*\? )?"([A-Z][A-Za-z]+)"/g,
      ),
    ].map(([, thrown, given]) => thrown ?? given ?? ""),
  );
  const listed = rowsOf("Codes in an operation's error").flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map(([, code]) => code ?? ""),
  );
  expect(raised.filter((code) => !listed.includes(code) && !elsewhere.includes(code))).toEqual([]);
  expect(listed.filter((code) => ![...sources, ...beside].some((text) => text.includes(`"${code}"`)))).toEqual([]);
});

/** Codes of a mistake in our own code, of the cloud's answer inside another error, of checks that aren't a resource's, and of doors. */
const elsewhere = [
  "AnswerMalformed",
  "GuestTimedOut",
  "InternalServerError",
  "ResourceKindUnknown",
  "OperationInProgress",
  "StepUnknown",
  "SettingsInvalid",
  "SubscriptionNotFound",
  "SubscriptionUnusable",
  "TokenMalformed",
  "TokenTenantMismatch",
  "DomainNotVerified",
];
