/** A consent that is withdrawn later is noticed, and said once. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createDirectory } from "../../infra/local/clouds/entra/directory.ts";
import { type ConsentWatch, pollConsents } from "../../functions/onboarding/timer.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { checkConsent } from "../../shared/graph/consent.ts";
import { createLog } from "../../shared/log.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createPartnerStore } from "../../shared/stores/partners.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { customer } from "../support/onboarding.ts";
import { ownStorage } from "../support/own-storage.ts";

const partnerId = "northwind";
const DAY = 24 * 3600 * 1000;
const start = Date.UTC(2026, 10, 22, 8);
const clock = { time: start, now: () => clock.time };

let clouds: TestClouds;
let ask: ConsentWatch["checkConsent"];
beforeAll(async () => {
  clouds = await startClouds();
  const { environment } = clouds;
  const credentials = createCredentials(environment, clouds.application);
  ask = checkConsent({ environment, credentials, graph: createGraph({ environment, credentials }) });
});
afterAll(() => clouds.stop());

let world: ConsentWatch;
let logged: string[];
beforeEach(async () => {
  clock.time = start;
  logged = [];
  const storage = ownStorage();
  world = {
    stores: {
      partners: createPartnerStore(storage, clock),
      tenants: createTenantStore(storage, clock),
      events: createEventStore(storage),
    },
    checkConsent: ask,
    azureAccess: () => Promise.reject(new Error("nobody asks for Azure here")),
    clock,
    log: createLog("debug", (_level, line) => logged.push(line)),
  };
  const registration = { id: partnerId, displayName: "Northwind", entraTenantId: randomUUID(), clientId: randomUUID() };
  await world.stores.partners.put(registration, () => undefined);
});

/** A tenant whose consent was proven when it was onboarded. */
async function piloted(name: string): Promise<{ tenantId: string; organization: string }> {
  const { tenantId, spec } = customer("contoso", name);
  const { tenantId: organization, domains } = spec.microsoft365;
  await clouds.organize({ tenantId: organization, domains, mailboxes: [] });
  await clouds.consent(organization);
  await world.stores.tenants.add(partnerId, tenantId, spec);
  await world.stores.tenants.setConditions(partnerId, tenantId, [
    { type: "ConsentGranted", status: "True", reason: "Proven", message: "consented" },
  ]);
  await world.stores.tenants.change(partnerId, tenantId, () => ({ stage: "pilot" }));
  return { tenantId, organization };
}
const withdraw = (organization: string, much: "one permission" | "all"): void => {
  const directory = createDirectory(clouds.platform);
  const ours = directory.servicePrincipal(organization, { appId: clouds.application.applicationId });
  if (!ours) throw new Error("nobody consented");
  if (much === "all") return void directory.deleteServicePrincipal(organization, ours.id);
  const [first] = directory.appRoleAssignments(organization).filter(({ principalId }) => principalId === ours.id);
  directory.deleteAppRoleAssignment(organization, first?.id ?? "");
};
const look = async (): Promise<void> => {
  clock.time += DAY;
  await pollConsents(world)();
};
const consentOf = async (tenantId: string) =>
  (await world.stores.tenants.get(partnerId, tenantId)).conditions.find(({ type }) => type === "ConsentGranted");
const events = async (tenantId: string): Promise<string[]> =>
  (await world.stores.events.list(partnerId, { tenantId }, 100)).items.map(({ type, at }) => `${type} ${at}`).toReversed();

test.each(["one permission", "all"] as const)(
  "withdrawing %s is noticed the next day and said once; so is its return",
  async (much) => {
    const { tenantId, organization } = await piloted(much === "all" ? "humongous" : "graphic");
    await look();
    expect(await consentOf(tenantId)).toMatchObject({ status: "True", reason: "Proven" });
    expect(await events(tenantId)).toEqual([]);

    withdraw(organization, much);
    await look();
    const said = "2026-11-24T08:00:00.000Z";
    expect(await consentOf(tenantId)).toMatchObject({
      status: "False",
      reason: "Withdrawn",
      since: said,
      message: expect.stringMatching(/must grant admin consent; missing: /),
    });
    await look();
    expect(await events(tenantId)).toEqual([`consent.withdrawn ${said}`]);

    await clouds.consent(organization);
    await look();
    await look();
    expect(await consentOf(tenantId)).toMatchObject({ status: "True", reason: "Restored", since: "2026-11-26T08:00:00.000Z" });
    expect(await events(tenantId)).toEqual([`consent.withdrawn ${said}`, "consent.restored 2026-11-26T08:00:00.000Z"]);
  },
);

test("whoever died after writing the condition leaves its event to the next look", async () => {
  const { tenantId, organization } = await piloted("coho");
  withdraw(organization, "all");
  const { events: whole } = world.stores;
  world.stores.events = { ...whole, add: () => Promise.reject(new Error("killed")) };
  await look();
  world.stores.events = whole;
  expect(await events(tenantId)).toEqual([]);
  await look();
  expect(await events(tenantId)).toEqual(["consent.withdrawn 2026-11-23T08:00:00.000Z"]);
});

test("an organisation that can't be asked keeps its condition, and keeps no other from being looked at", async () => {
  const [throttled, other] = [await piloted("alpha"), await piloted("beta")];
  withdraw(other.organization, "all");
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 30 });
  await look();
  await clouds.clearFaults();
  expect(await consentOf(throttled.tenantId)).toMatchObject({ status: "True" });
  expect(await consentOf(other.tenantId)).toMatchObject({ status: "False", reason: "Withdrawn" });
  expect(logged.join()).toContain("a consent could not be looked at");
});

test("a consent that an onboarding still waits for is that onboarding's matter", async () => {
  const { tenantId, organization } = await piloted("waiting");
  withdraw(organization, "all");
  const waiting = {
    type: "ConsentGranted",
    status: "False",
    reason: "Waiting",
    message: "an administrator must consent",
  } as const;
  await world.stores.tenants.setConditions(partnerId, tenantId, [waiting]);
  await look();
  expect(await consentOf(tenantId)).toMatchObject(waiting);
  expect(await events(tenantId)).toEqual([]);
});
