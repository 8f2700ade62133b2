/** The conformance suite over a tenant's storage account for diagnostics. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";
import { storageRows } from "./rows-storage.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries(storageRows)) conformance(kind, row as unknown as Row<object, object>, () => world);
