/** The conformance suite over a tenant's Azure SQL. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";
import { sqlRows } from "./rows-sql.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries(sqlRows)) conformance(kind, row as unknown as Row<object, object>, () => world);
