/** Another public address for a gateway, in virtual time: listed ones, the way back, and failures by chance. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { addressesIn, replaced } from "../support/addresses.ts";
import { changeList } from "../support/blocklists.ts";
import { failedThere, killedThere, undisturbed } from "../support/every-step.ts";
import type { FailAt } from "../support/failing.ts";
import { violations } from "../support/invariants.ts";
import { createRandom } from "../support/random.ts";
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

const psbl = (life: Life, ...list: string[]): Promise<void> => changeList(life.clouds, "psbl.surriel.com", { list });

test("a new address that is listed is given back for another one; the way back leads to the former one, which is then released by nobody", async () => {
  await worlds.life(async (life) => {
    await psbl(life, "203.0.113.11");
    expect(await replaced(life, gatewayId)).toMatchObject({ status: "Succeeded", result: { address: "203.0.113.12" } });
    expect(addressesIn(life)).toEqual({ "gateway-1-address": "203.0.113.10", "gateway-1-address-3": "203.0.113.12" });
    expect(await replaced(life, gatewayId, { back: true })).toMatchObject({
      status: "Succeeded",
      result: { address: "203.0.113.10" },
    });
    await life.pass(9 * A_DAY);
    expect(addressesIn(life)).toEqual({ "gateway-1-address": "203.0.113.10" });
    expect(violations(await life.record(), worlds.customer.watched)).toEqual([]);
  }, way.from);
}, 120_000);

test("three listed addresses in a row are given back and told, and nothing has changed", async () => {
  await worlds.life(async (life) => {
    const before = [addressesIn(life), await life.state("exchange")];
    await psbl(life, "203.0.113.11", "203.0.113.12", "203.0.113.13");
    const { status, error } = await life.ended(await way.start(life));
    expect([status, error?.code]).toEqual(["Failed", "AddressesListed"]);
    expect(error?.message).toContain("203.0.113.13 (psbl)");
    expect([addressesIn(life), await life.state("exchange")]).toEqual(before);
  }, way.from);
}, 120_000);

const seed = Number(process.env["FAIL_SEED"] ?? Date.now() % 1_000_000);

/** Of the many where it may fail, all of which test/faults plays. */
const places = [
  "screenAddress",
  "ensureResource swapped",
  "keepAddress",
  "ensureResource only-approvalRule",
  "finishReplacement",
] as const;

test(`one that fails anywhere completes when it is tried again; one whose host is killed goes on (FAIL_SEED=${seed})`, async () => {
  const { left } = await undisturbed(worlds, way);
  const random = createRandom(seed);
  const plan: FailAt = {
    activity: places[Math.floor(random() * places.length)] ?? places[0],
    when: random() < 0.5 ? "before" : "after",
  };
  const killed = random() < 0.5;
  const outcomes = killed ? [await killedThere(worlds, way, plan, left)] : await failedThere(worlds, way, plan, left, "retried");
  expect({ plan, killed, wrong: outcomes.flatMap(({ wrong }) => wrong) }).toEqual({ plan, killed, wrong: [] });
}, 120_000);
