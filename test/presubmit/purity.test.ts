/** Orchestrators are replayed, so they do the same thing each time: no clock, chance, environment, waiting or writing of their own. */
import { expect, test } from "vitest";
import { codeOnly, filesIn, importsOf, read } from "./sources.ts";

const IMPURE: Record<string, RegExp> = {
  "a clock": /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.|\bsystemClock\b/,
  chance: /\bMath\.random\b|\bcrypto\b|\brandomUUID\b/,
  environment: /\bprocess\./,
  "asynchronous code": /\basync\b|\bawait\b|\bPromise\b|\.then\(/,
  "the network": /\bfetch\(/,
  timers: /\bset(?:Timeout|Interval|Immediate)\b/,
  "a log": /\bconsole\.|\blog\./,
};

const orchestrators = (): string[] => filesIn("functions").filter((file) => file.endsWith("/orchestrator.ts"));

/** What runs as part of an orchestrator: what it imports, except as a type, and so on; shared/durable is the wall. */
function closure(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const { file: target, typeOnly } of importsOf(file)) {
    if (target !== undefined && !typeOnly && !target.startsWith("shared/durable/")) closure(target, seen);
  }
  return seen;
}

test("there are orchestrators, and they are found", () => {
  expect(orchestrators()).toContain("functions/onboarding/orchestrator.ts");
});

test("an orchestrator, and whatever runs as part of it, has no clock, chance, environment, waiting or log", () => {
  const found = orchestrators()
    .flatMap((orchestrator) => [...closure(orchestrator)])
    .flatMap((file) => {
      const code = codeOnly(read(file));
      return Object.entries(IMPURE)
        .filter(([, pattern]) => pattern.test(code))
        .map(([what]) => `${file} has ${what}`);
    });
  expect([...new Set(found)]).toEqual([]);
});

/** What gives the same result each time; the rest of Node and all other packages are for activities. */
const DETERMINISTIC = ["zod", "node:zlib"];

test("an orchestrator, and whatever runs as part of it, imports nothing of Node and no package that could do something, except as a type", () => {
  const found = orchestrators()
    .flatMap((orchestrator) => [...closure(orchestrator)])
    .flatMap((file) => importsOf(file).map((imported) => ({ from: file, ...imported })))
    .filter(({ file, specifier, typeOnly }) => file === undefined && !typeOnly && !DETERMINISTIC.includes(specifier))
    .map(({ from, specifier }) => `${from} → ${specifier}`);
  expect([...new Set(found)]).toEqual([]);
});

/** The rest of the orchestrator's folder may be imported where it is pure; rooms with effects are for activities. */
test("an orchestrator itself imports types, shared/durable, desired state, the runbook, proofs, and pure files beside it", () => {
  const found = orchestrators().flatMap((from) => {
    const rooms = ["shared/durable/", "shared/desired/", "shared/runbook/", "shared/proof/"];
    const allowed = [...rooms, "shared/errors.ts", from.replace(/orchestrator\.ts$/, "")];
    return importsOf(from)
      .filter(({ file, typeOnly }) => !typeOnly && !allowed.some((place) => file?.startsWith(place)))
      .map(({ specifier }) => `${from} → ${specifier}`);
  });
  expect(found).toEqual([]);
});

test("the context of durable-functions is used by shared/durable alone; orchestrators know it as a type", () => {
  const found = ["functions", "shared"]
    .flatMap(filesIn)
    .filter((file) => file.endsWith(".ts") && !file.startsWith("shared/durable/"))
    .filter((file) => /\bcontext\.df\b(?!\.(?:continueAsNew|currentUtcDateTime|instanceId)\b)/.test(codeOnly(read(file))));
  expect(found).toEqual([]);
});
