/** The conformance suite over the certificate that the gateway shows. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";
import { certificateRows } from "./rows-certificates.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries(certificateRows)) conformance(kind, row as unknown as Row<object, object>, () => world);
