/** Another public address for a gateway, in virtual time: accepted before it is used, proven before the former one is forgotten, and back again. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { changeList } from "../support/blocklists.ts";
import { violations } from "../support/invariants.ts";
import { waysIn, type Way } from "../support/ways.ts";
import { type Life, startWorlds, type Worlds } from "../support/worlds.ts";

const A_DAY = 24 * 3600 * 1000;
const gatewayId = "contoso-gateway-1";
let worlds: Worlds;
let way: Way;
beforeAll(async () => {
  worlds = await startWorlds();
  way = await waysIn(worlds)("addressReplacement");
}, 120_000);
afterAll(() => worlds.stop());

/** Names and values of the tenant's public addresses, and who uses them. */
async function addressesIn({ clouds }: Life) {
  type Address = { name: string; body: { properties: { ipAddress: string; dnsSettings: { fqdn: string; reverseFqdn: string } } } };
  return clouds.platform
    .collection<Address>("arm.microsoft.network/publicipaddresses")
    .values()
    .map(({ name, body: { properties } }) => ({ name, address: properties.ipAddress, ...properties.dnsSettings }));
}

test("debug", async () => {
  await worlds.life(async (life) => {
    const operation = await life.ended(await way.start(life));
    process.stdout.write(JSON.stringify({ s: operation.status, e: operation.error, r: operation.result, steps: operation.steps.map((s) => [s.name, s.status, s.change]) }, null, 1));
    process.stdout.write(JSON.stringify(await addressesIn(life), null, 1));
    process.stdout.write(JSON.stringify(violations(await life.record(), worlds.customer.watched), null, 1));
  }, way.from);
}, 120_000);
