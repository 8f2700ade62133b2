/** Another public address for a gateway, in virtual time: accepted before it is used, proven before the former one is forgotten, and back again. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { addressesIn, replaced } from "../support/addresses.ts";
import { violations } from "../support/invariants.ts";
import { type Way, waysIn } from "../support/ways.ts";
import { type Life, startWorlds, type Worlds } from "../support/worlds.ts";

const A_DAY = 24 * 3600 * 1000;
let gatewayId: string;
let worlds: Worlds;
let way: Way;
beforeAll(async () => {
  worlds = await startWorlds();
  gatewayId = `${worlds.customer.tenantId}-gateway-1`;
  way = await waysIn(worlds)("addressReplacement");
}, 120_000);
afterAll(() => worlds.stop());

const A_SETTLE = 30 * 60_000;

const eventsOf = async ({ partner }: Life) =>
  (await partner.listEvents({})).body.value.filter(({ type }) => type.startsWith("gateway.address.")).toReversed();

test("both addresses are accepted long before the machine has the new one, and the former one is released a week after", async () => {
  await worlds.life(async (life) => {
    const { status, steps, result } = await replaced(life, gatewayId);
    expect(status).toBe("Succeeded");
    expect(result).toMatchObject({ address: "203.0.113.11", former: "203.0.113.10" });
    expect(addressesIn(life)).toEqual({ "gateway-1-address": "203.0.113.10", "gateway-1-address-2": "203.0.113.11" });
    const times = (which: RegExp, at: "startedAt" | "endedAt"): number[] =>
      steps.filter(({ name }) => which.test(name)).map((step) => Date.parse(step[at] ?? ""));
    const swapped = Math.min(...times(/^swapped$/, "startedAt"));
    expect(swapped - Math.max(...times(/^both-/, "endedAt"))).toBeGreaterThanOrEqual(A_SETTLE);
    expect(
      Math.min(...times(/^only-(?!smartHosts)/, "startedAt")) - Math.max(...times(/^probeMail$/, "endedAt")),
    ).toBeGreaterThanOrEqual(A_SETTLE);
    expect(violations(await life.record(), worlds.customer.watched)).toEqual([]);

    const gateway = (await life.partner.getGateway({ gatewayId })).body;
    expect([gateway.address, gateway.fqdn]).toEqual(["203.0.113.11", result?.["name"]]);
    expect((await life.partner.lookForDriftNow({ tenantId: worlds.customer.tenantId })).body.differences).toEqual([]);
    const held = await eventsOf(life);
    expect(held.map(({ type }) => type.replace("gateway.address.", ""))).toEqual(["replacing", "swapping", "replaced"]);

    await life.pass(8 * A_DAY);
    expect(addressesIn(life)).toEqual({ "gateway-1-address-2": "203.0.113.11" });
    expect((await eventsOf(life)).at(-1)).toMatchObject({ type: "gateway.address.released", data: { address: "203.0.113.10" } });
    await expect(life.partner.startAddressReplacement({ gatewayId, body: { back: true } })).rejects.toMatchObject({
      code: "NoFormerAddress",
    });
  }, way.from);
}, 120_000);
