/** Onboardings in virtual time, each from the same snapshot of clouds, tables, messages and host; `test/faults` plays hundreds of them. */
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { canonical, oneOfEach } from "../support/estate.ts";
import { failedThere, killedThere } from "../support/every-step.ts";
import { type FailAt, failAt } from "../support/failing.ts";
import { ownViolations } from "../support/invariants.ts";
import { createRandom } from "../support/random.ts";
import { planAndApply } from "../support/plans-kept.ts";
import { waysIn, withoutWay } from "../support/ways.ts";
import { type Life, type Played, startWorlds, type Worlds } from "../support/worlds.ts";

const seed = Number(process.env["FAIL_SEED"] ?? Date.now() % 1_000_000);
let worlds: Worlds;
let undisturbed: Played;
beforeAll(async () => {
  worlds = await startWorlds();
  undisturbed = await worlds.play();
});
afterAll(() => worlds.stop());

test("an onboarding takes the minutes of production's settings and of modelled clouds, whatever it takes here", () => {
  expect(undisturbed).toMatchObject({ ending: { status: "Succeeded" }, estate: oneOfEach, violations: [] });
  expect(undisturbed.virtualMilliseconds).toBeGreaterThan(120_000);
});

test("a second one from the same beginning knows nothing of the first, and leaves the same", async () => {
  const { ending, estate } = await worlds.play();
  expect(ending.status).toBe("Succeeded");
  expect(ending.operation?.id).not.toBe(undisturbed.ending.operation?.id);
  expect(canonical(estate)).toBe(canonical(undisturbed.estate));
  expect(estate.loopGuid.vault).not.toBe(undisturbed.estate.loopGuid.vault);
});

test.each([{ to: "tables", at: 1, kind: "refuse" } as const, { to: "arm", at: 4, kind: "refuse" } as const])(
  "one that is stopped by a refusal completes when it is asked for again: $to",
  async (fault) => {
    const { met, ending, again, estate } = await worlds.play(fault);
    expect({ met, first: ending.status, second: again?.status }).toEqual({ met: true, first: "Failed", second: "Succeeded" });
    expect(canonical(estate)).toBe(canonical(undisturbed.estate));
  },
);

test("in a world by chance a plan writes nothing, and its operation writes what was planned", async () => {
  const kept = { onlyPlanned: [], onlyWritten: [], meanwhile: [], ending: "Succeeded" };
  expect(await planAndApply(worlds, 3)).toEqual([expect.objectContaining(kept), expect.objectContaining(kept)]);
});

test("of every kind of operation there is one that is failed and killed at each of its activities", () => {
  expect(withoutWay()).toEqual([]);
});

/** Of the many where it may fail, all of which test/faults/every-step.test.ts plays. */
const places = [
  "checkPreflight",
  "ensureResource vault",
  "ensureSecret loopGuid",
  "ensureResource gatewayVm",
  "ensureResource approvalRule",
  "ensureResource forwardingRule",
  "sendProbe probeMail",
  "ensureResource pilotScope",
  "checkProbe pilotProbeMail",
  "finishOnboarding",
] as const;

test(`one that fails anywhere completes when it is retried, or leaves nothing when it is taken back; one whose host is killed goes on (FAIL_SEED=${seed})`, async () => {
  const way = await waysIn(worlds)("onboarding");
  const random = createRandom(seed);
  const oneOf = <const Some>(some: readonly [Some, ...Some[]]): Some => some[Math.floor(random() * some.length)] ?? some[0];
  const plan: FailAt = { activity: oneOf(places), when: oneOf(["before", "after"]) };
  const how = oneOf(["retried", "rolled back", "killed"] as const);
  const left = { estate: canonical(undisturbed.estate) };
  const outcomes =
    how === "killed" ? [await killedThere(worlds, way, plan, left)] : await failedThere(worlds, way, plan, left, how);
  expect({ plan, how, wrong: outcomes.flatMap(({ wrong }) => wrong) }).toEqual({ plan, how, wrong: [] });
});

/** Of an adoption and of the onboarding over it. */
const takenOver = [
  "lookBeforeAdoption",
  "ensureResource gatewayVm",
  "finishAdoption",
  "ensureSecret loopGuid",
  "ensureResource guest",
  "ensureResource forwardingRule",
  "ensureResource domainForwardingRule",
  "ensureResource pilotScope",
  "keepForDayTwo",
] as const;

test(`what a person made is adopted and then onboarded over: where that fails it completes when it is retried, and keeps its loop GUID; a repair brings all of it back under the person's names (FAIL_SEED=${seed})`, async () => {
  const { from, start } = await waysIn(worlds)("adoption");
  const { tenantId, watched } = worlds.customer;
  const random = createRandom(seed);
  const activity = takenOver[Math.floor(random() * takenOver.length)] ?? takenOver[0];
  const plan: FailAt = { activity, when: random() < 0.5 ? "before" : "after" };
  const seen = await worlds.life(async (life) => {
    const succeeded = async (begun: Operation): Promise<Operation["status"]> => {
      const { id: operationId, status } = await life.ended(begun);
      if (status === "Succeeded") return status;
      return (await life.ended((await life.partner.retryOperation({ operationId })).body)).status;
    };
    const { forwardingRule: made } = (await life.estate()).loopGuid;
    failAt(plan);
    const adopted = await succeeded(await start(life));
    // Before somebody has looked nobody knows that it is well.
    await life.operator.runSchedule({ timer: "pollGateways" });
    const onboarded = await succeeded((await life.partner.startOnboarding({ tenantId })).body);
    const { vault, ...others } = (await life.estate()).loopGuid;
    const { status: drift, differences } = (await life.partner.lookForDriftNow({ tenantId })).body;
    const kept = isDeepStrictEqual([vault], made) && isDeepStrictEqual(others, guidEverywhere(vault));
    failAt(undefined);
    const removed = await removedAndRepaired(life);
    return { plan, adopted, onboarded, kept, drift, differences, removed, unsafe: ownViolations(await life.record(), watched) };
  }, from);
  const clean = { drift: "inSync", differences: [] };
  const well = { adopted: "Succeeded", onboarded: "Succeeded", kept: true, ...clean, unsafe: [] };
  const removed = { missing, repaired: { status: "Succeeded" }, ...clean, exchange: named };
  expect(seen).toEqual({ plan, ...well, removed });
});

/** What the person made and what was made beside it, in the order in which it is brought back. */
const missing = [
  "inboundConnector",
  "outboundConnector",
  "guardRule",
  "approvalRule",
  "stripRule",
  "forwardingRule",
  "domainForwardingRule",
].map((step) => `${step}: create`);
const named = {
  inboundConnectors: ["FROM Azure VM to M365 of Contoso"],
  outboundConnectors: ["M365 to Azure VM of Contoso"],
  transportRules: [
    "Guard loop header of own Azure VM",
    "Route all Mails to own Azure VM of Contoso",
    "Route all Mails to own Azure VM, domains",
    "Approve all Mails from own SMTP Server on Azure VM of Contoso",
    "Strip loop header of own Azure VM",
  ],
};

/** Somebody removes every rule and connector, and what that takes away is repaired. */
async function removedAndRepaired(life: Life) {
  const { tenantId, watched } = worlds.customer;
  const remove = (noun: string, Identity: string) =>
    life.clouds.platform.peers.runByHand?.(watched.organization, `Remove-${noun}`, { Identity, Confirm: false });
  const { transportRules, outboundConnectors, inboundConnectors } = (await life.estate()).exchange;
  // Rules first: a connector that one of them routes to can't be removed.
  for (const rule of transportRules) await remove("TransportRule", rule);
  for (const connector of outboundConnectors) await remove("OutboundConnector", connector);
  for (const connector of inboundConnectors) await remove("InboundConnector", connector);
  await life.pass(AN_HOUR);
  const look = async () => (await life.partner.lookForDriftNow({ tenantId })).body;
  const missing = (await look()).differences.map(({ step, action }) => `${step}: ${action}`);
  const { status, error } = await life.ended((await life.partner.startRepair({ tenantId })).body);
  const { status: drift, differences } = await look();
  return {
    missing,
    repaired: { status, ...(error ? { error } : {}) },
    drift,
    differences,
    exchange: (await life.estate()).exchange,
  };
}

const AN_HOUR = 3_600_000;
const guidEverywhere = (guid: string | undefined) => ({
  registry: `X-iqsuite-process:${guid}`,
  approvalRule: [guid],
  forwardingRule: [guid],
});

test("one that failed before its last proof may have sent mail to the gateway: no offboarding that is begun again forgets it", async () => {
  const { tenantId } = worlds.customer;
  const steps = await worlds.life(async ({ partner, ended }) => {
    failAt({ activity: "checkProbe pilotProbeMail", when: "before" });
    await ended((await partner.startOnboarding({ tenantId })).body);
    const offboard = async () =>
      ended((await partner.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } })).body);
    // Its rules are gone then, and nothing is proven.
    failAt({ activity: "sendBypassProbe", when: "before" });
    expect(await offboard()).toMatchObject({ status: "Failed", error: { code: "FailedOnPurpose" } });
    failAt(undefined);
    const { status, steps } = await offboard();
    return { status, ...Object.fromEntries(steps.map((step) => [step.name, step.status])) };
  });
  expect(steps).toMatchObject({ status: "Succeeded", aroundGateway: "Succeeded" });
});
