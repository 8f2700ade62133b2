/** The conformance suite over what stands in Azure before the gateway; and whether its table is complete. Files run at the same time, so there are several. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";
import { rows } from "./rows.ts";
import { groundRows } from "./rows-azure.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

test("every kind has a row, and calls itself by the name that it has in the index", () => {
  expect(Object.keys(rows).sort()).toEqual(Object.keys(world.resources).sort());
  expect(Object.values(world.resources).map(({ kind }) => kind)).toEqual(Object.keys(world.resources));
});

for (const [kind, row] of Object.entries(groundRows)) conformance(kind, row as unknown as Row<object, object>, () => world);
