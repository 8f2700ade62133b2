/**
 * Mission C9: public addresses that an onboarding makes, in virtual time: listed ones go again, another one is the gateway's, and wherever it fails or
 * is killed on the way none is left over.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { addressesIn } from "../support/addresses.ts";
import { changeList } from "../support/blocklists.ts";
import { atEachActivity, failedThere, killedThere, type Outcome } from "../support/every-step.ts";
import { type FailAt, failAt } from "../support/failing.ts";
import { ownViolations } from "../support/invariants.ts";
import type { Way } from "../support/ways.ts";
import { type Beginning, type Life, startWorlds, type Worlds } from "../support/worlds.ts";

const HOURS = 7_200_000;
const PSBL = "psbl.surriel.com";
const UCEPROTECT = "dnsbl-1.uceprotect.net";
let worlds: Worlds;
beforeAll(async () => {
  worlds = await startWorlds();
}, HOURS);
afterAll(() => worlds.stop());
beforeEach(() => failAt(undefined));

const list = (life: Life, zone: string, ...addresses: string[]): Promise<void> =>
  changeList(life.clouds, zone, { list: addresses });

async function onboarded(life: Life) {
  const { tenantId } = worlds.customer;
  return life.ended((await life.partner.startOnboarding({ tenantId })).body);
}

test("a listed address goes again, and the gateway is built with the next one: everything knows it by its own names", async () => {
  await worlds.life(async (life) => {
    const { tenantId } = worlds.customer;
    await list(life, PSBL, "203.0.113.10", "203.0.113.11");
    const { status, error, steps, result } = await onboarded(life);
    expect([status, error]).toEqual(["Succeeded", undefined]);
    expect(addressesIn(life)).toEqual({ "gateway-1-address-3": "203.0.113.12" });
    expect(result).toMatchObject({ egressIps: ["203.0.113.12"] });
    const made = steps.filter(({ name }) => /^(publicIpAddress|screened)/.test(name));
    expect(made.map(({ name, status: ended, change }) => [name, ended, change])).toEqual([
      ["publicIpAddress", "Succeeded", "created"],
      ["screened", "Succeeded", undefined],
      ["publicIpAddress-2", "Succeeded", "created"],
      ["publicIpAddress-3", "Succeeded", "created"],
    ]);
    const gateway = (await life.partner.getGateway({ gatewayId: `${tenantId}-gateway-1` })).body;
    expect(gateway).toMatchObject({ address: "203.0.113.12", fqdn: expect.stringContaining("-a3.") });
    expect((await life.partner.lookForDriftNow({ tenantId })).body.differences).toEqual([]);
    expect(ownViolations(await life.record(), worlds.customer.watched)).toEqual([]);

    // What stands stays, whatever a list says of it by now.
    await list(life, PSBL, "203.0.113.12");
    const again = await onboarded(life);
    expect(again.steps.find(({ name }) => name === "screened")?.status).toBe("Skipped");
    expect([again.status, addressesIn(life)]).toEqual(["Succeeded", { "gateway-1-address-3": "203.0.113.12" }]);
  });
}, 600_000);

test("three listed addresses in a row go again, and the onboarding says which list has them; the next one begins anew", async () => {
  await worlds.life(async (life) => {
    await list(life, PSBL, "203.0.113.10", "203.0.113.11", "203.0.113.12");
    const { id, status, error } = await onboarded(life);
    expect([status, error?.code]).toEqual(["Failed", "AddressesListed"]);
    expect(error?.message).toContain("203.0.113.11 (psbl)");
    expect(addressesIn(life)).toEqual({});
    const again = await life.ended((await life.partner.retryOperation({ operationId: id })).body);
    expect([again.status, addressesIn(life)]).toEqual(["Succeeded", { "gateway-1-address": "203.0.113.13" }]);
  });
}, 600_000);

test("where none is clean, one that only a list of low weight has will do, and the result says so", async () => {
  await worlds.life(async (life) => {
    await list(life, PSBL, "203.0.113.10", "203.0.113.12");
    await list(life, UCEPROTECT, "203.0.113.11");
    const { status, result } = await onboarded(life);
    expect([status, addressesIn(life)]).toEqual(["Succeeded", { "gateway-1-address-2": "203.0.113.11" }]);
    const findings = result?.["findings"] as { code: string; message: string }[];
    expect(findings.find(({ code }) => code === "AddressListed")?.message).toContain("203.0.113.11 is on uceprotect-1");
  });
}, 600_000);

test("lists that can't be believed refuse nothing, and the result names them", async () => {
  await worlds.life(async (life) => {
    await list(life, PSBL);
    await changeList(life.clouds, UCEPROTECT, { behaviour: "everything" });
    const { status, result } = await onboarded(life);
    expect([status, addressesIn(life)]).toEqual(["Succeeded", { "gateway-1-address": "203.0.113.10" }]);
    const findings = result?.["findings"] as { code: string; message: string }[];
    const said = findings.find(({ code }) => code === "AddressNotScreened")?.message;
    expect(said).toContain("uceprotect-1");
    expect(said).not.toContain("psbl");
  });
}, 600_000);

/** An onboarding whose first address is listed. */
async function listedFirst(): Promise<Way & { from: Beginning }> {
  const from = await worlds.after((life) => list(life, PSBL, "203.0.113.10"));
  return {
    kind: "onboarding",
    from,
    standing: false,
    start: async ({ partner }) => (await partner.startOnboarding({ tenantId: worlds.customer.tenantId })).body,
  };
}

/** What it is called then depends on what was let go before; that there is one does not. */
const retriedThere = (way: Way, plan: FailAt): Promise<Outcome> =>
  worlds.life(async (life) => {
    failAt(plan);
    const { id: operationId, status } = await life.ended(await way.start(life));
    failAt(undefined);
    const again = status === "Failed" ? await life.ended((await life.partner.retryOperation({ operationId })).body) : { status };
    const addresses = Object.values(addressesIn(life));
    const { differences } = (await life.partner.lookForDriftNow({ tenantId: worlds.customer.tenantId })).body;
    return {
      how: status === "Failed" ? "retried" : "done without",
      wrong: [
        ...(again.status === "Succeeded" ? [] : [`it ended as ${again.status}`]),
        ...(addresses.length === 1 && !addresses.includes("203.0.113.10") ? [] : [`it left ${addresses.join(", ")}`]),
        ...(differences.length === 0 ? [] : [`it left differences: ${JSON.stringify(differences)}`]),
        ...ownViolations(await life.record(), worlds.customer.watched).map((violation) => JSON.stringify(violation)),
      ],
    };
  }, way.from);

test(
  "failed at any activity that has to do with addresses: tried again it completes, taken back none is left",
  async () => {
    const way = await listedFirst();
    process.env["ACTIVITIES"] ??= "ddress";
    const failed = await atEachActivity(worlds, way, "failed", async (plan, left) => [
      await retriedThere(way, plan),
      ...(await failedThere(worlds, way, plan, left, "rolled back")),
    ]);
    expect(failed).toEqual([]);
  },
  HOURS,
);

test(
  "killed at any of them: the next host goes on, and none is left over",
  async () => {
    const way = await listedFirst();
    process.env["ACTIVITIES"] ??= "ddress";
    const killed = await atEachActivity(worlds, way, "killed", async (plan, left) => [
      await killedThere(worlds, way, plan, { estate: left.estate }),
    ]);
    expect(killed).toEqual([]);
  },
  HOURS,
);
