/** The conformance suite over the resources that our own rights in Exchange Online consist of. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";

import { privilegeRows } from "./rows-privilege.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries(privilegeRows)) conformance(kind, row as unknown as Row<object, object>, () => world);
