/** The conformance suite over what Azure Monitor has of a gateway, and a DNS zone of its addresses. */
import { afterAll, beforeAll } from "vitest";
import { conformance, type Row } from "./conformance.ts";
import { startWorld, type World } from "./ground.ts";
import { dnsRows } from "./rows-dns.ts";
import { monitoringRows } from "./rows-monitoring.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world?.clouds.stop());

for (const [kind, row] of Object.entries({ ...monitoringRows, ...dnsRows }))
  conformance(kind, row as unknown as Row<object, object>, () => world);
