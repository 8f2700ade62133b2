/** The conformance suite over the resources of a customer's Microsoft 365. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";

import { microsoft365Rows } from "./rows-microsoft365.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries(microsoft365Rows)) conformance(kind, row as unknown as Row<object, object>, () => world);
