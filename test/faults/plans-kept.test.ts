/** Worlds by chance, and each kind of operation from its moment: planning writes nothing, and the operation writes what was planned, object by object. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { plannedOperations } from "../../shared/api/plan.ts";
import { type Compared, planAndApply, planAndBegin } from "../support/plans-kept.ts";
import { waysIn } from "../support/ways.ts";
import { startWorlds, type Worlds } from "../support/worlds.ts";

const first = Number(process.env["SEED"] ?? 1);
const count = Number(process.env["WORLDS"] ?? 20);

/** One for the file: libraries remember the first managed identity that a process has. */
let worlds: Worlds;
let wayOf: ReturnType<typeof waysIn>;
beforeAll(async () => {
  worlds = await startWorlds();
  wayOf = waysIn(worlds);
});
afterAll(() => worlds.stop());

test("what is planned is what is done", { timeout: 7_200_000 }, async () => {
  const compared: ({ seed: number } & Compared)[] = [];
  for (let seed = first; seed < first + count; seed++)
    for (const one of await planAndApply(worlds, seed)) compared.push({ seed, ...one });
  const objects = compared.map((one) => one.objects);
  process.stdout.write(`${count} worlds, ${compared.length} plans of ${objects.join(", ")} objects\n`);
  const kept = { onlyPlanned: [], onlyWritten: [], meanwhile: [], ending: "Succeeded" };
  expect(compared).toEqual(compared.map(({ seed, objects: written }) => ({ seed, objects: written, ...kept })));
});

const planned = [...plannedOperations, "completion"] as const;
test.each(planned)("what is planned is what is done: %s", { timeout: 7_200_000 }, async (kind) => {
  const { objects, ...compared } = await planAndBegin(worlds, await wayOf(kind));
  process.stdout.write(`${kind}: ${objects} objects\n`);
  expect(compared).toEqual({ onlyPlanned: [], onlyWritten: [], meanwhile: [], ending: "Succeeded" });
});
