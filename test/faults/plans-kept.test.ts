/** Worlds by chance: planning one writes nothing, and its operation writes what was planned, object by object. */
import { expect, test } from "vitest";
import { type Compared, planAndApply } from "../support/plans-kept.ts";
import { startWorlds } from "../support/worlds.ts";

const first = Number(process.env["SEED"] ?? 1);
const count = Number(process.env["WORLDS"] ?? 20);

test("what is planned is what is done", { timeout: 7_200_000 }, async () => {
  const worlds = await startWorlds();
  try {
    const compared: ({ seed: number } & Compared)[] = [];
    for (let seed = first; seed < first + count; seed++)
      for (const one of await planAndApply(worlds, seed)) compared.push({ seed, ...one });
    const objects = compared.map((one) => one.objects);
    process.stdout.write(`${count} worlds, ${compared.length} plans of ${objects.join(", ")} objects\n`);
    const kept = { onlyPlanned: [], onlyWritten: [], meanwhile: [], ending: "Succeeded" };
    expect(compared).toEqual(compared.map(({ seed, objects: written }) => ({ seed, objects: written, ...kept })));
  } finally {
    await worlds.stop();
  }
});
