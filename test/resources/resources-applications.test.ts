/** The conformance suite over the applications in a customer's Entra tenant and what they reach. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";
import { applicationRows } from "./rows-applications.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries(applicationRows)) conformance(kind, row as unknown as Row<object, object>, () => world);
