/** The conformance suite over the applications in a customer's Entra tenant that a spec asks for beside WebClient's. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "../resources/conformance.ts";
import { startWorld, type World } from "../resources/ground.ts";
import { applicationRows } from "../resources/rows-applications.ts";

const { powerShellApplication, exchangeWebServicesApplication } = applicationRows;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries({ powerShellApplication, exchangeWebServicesApplication }))
  conformance(kind, row as unknown as Row<object, object>, () => world);
