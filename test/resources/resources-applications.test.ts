/**
 * The conformance suite over the applications in a customer's Entra tenant and what they reach. WebClient's stands for the others, which
 * are made of the same definition: theirs is in test/whole.
 */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";
import { applicationRows } from "./rows-applications.ts";

const { webClientApplication, mailboxAccess, exchangeWebServicesPolicy } = applicationRows;

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries({ webClientApplication, mailboxAccess, exchangeWebServicesPolicy }))
  conformance(kind, row as unknown as Row<object, object>, () => world);
