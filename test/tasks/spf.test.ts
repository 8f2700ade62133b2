/** SPF records that a person has to publish, or to withdraw: looked for at the domains' own name servers until they are right. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { askToWithdraw, withdrawSpfCheck } from "../../functions/offboarding/withdraw-spf.ts";
import { createOnboardingActivities } from "../../functions/onboarding/activities.ts";
import { pollSpf, spfCheck } from "../../functions/onboarding/spf.ts";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import { lookAt } from "../../functions/tasks/look.ts";
import { remindTasks } from "../../functions/tasks/timer.ts";
import { makeCustomer } from "../../infra/local/customer.ts";
import { createAzure } from "../../shared/azure/client.ts";
import { createAuthorities } from "../../shared/dns/authorities.ts";
import { createResolver, type DnsResolver } from "../../shared/dns/resolver.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createLog } from "../../shared/log.ts";
import { onboardingSteps } from "../../shared/runbook/steps.ts";
import type { TaskCheck, TaskChecks } from "../../shared/stores/tasks.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { customerOf, customer, type Customer } from "../support/onboarding.ts";
import { testStores, unique } from "../support/stores.ts";

const ADDRESS = "203.0.113.7";
const RIGHT = `v=spf1 ip4:${ADDRESS} mx include:spf.protection.outlook.com -all`;
const clock = { time: Date.UTC(2026, 10, 22, 8), now: () => clock.time };

let clouds: TestClouds;
let resolver: DnsResolver;
beforeAll(async () => {
  clouds = await startClouds();
  resolver = createResolver({ servers: clouds.environment.dnsServers });
});
afterAll(() => clouds.stop());

let partnerId: string;
let tenant: Customer;
let stores: ReturnType<typeof testStores>;
beforeEach(async () => {
  partnerId = unique("partner");
  stores = testStores(clock);
  const name = unique("spf");
  const { body } = customer("contoso", name);
  tenant = customerOf(name, { ...body, spf: { zones: [] } });
  await makeCustomer(clouds.control, tenant.spec);
  await publish("v=spf1 mx -all");
  await stores.partners.put(
    { id: partnerId, displayName: "Northwind", entraTenantId: randomUUID(), clientId: randomUUID() },
    () => undefined,
  );
});

const domain = (): string => tenant.spec.microsoft365.domains[0] ?? "";

/** As the customer's own people do it. */
async function publish(...values: string[]): Promise<void> {
  const { environment, application } = clouds;
  const azure = createAzure({ environment, credentials: createCredentials(environment, application) });
  const { tenantId: entraTenantId, subscriptionId } = tenant.spec.azure;
  const done = await azure.read({ entraTenantId, subscriptionId }, async (clients) => {
    const { zones, recordSets } = await clients.dns();
    await (await clients.resources()).resourceGroups.createOrUpdate("domains", { location: "westeurope" });
    await zones.createOrUpdate("domains", domain(), { location: "global" });
    const txtRecords = values.map((value) => ({ value: [value] }));
    return recordSets.createOrUpdate("domains", domain(), "@", "TXT", { ttl: 300, txtRecords });
  });
  expect(done).toMatchObject({ state: "present" });
}

const world = () => ({
  stores,
  clock,
  resolver,
  environment: clouds.environment,
  authorities: createAuthorities({ resolver, port: clouds.environment.nameServerPort }),
});
const nobody: TaskCheck = { look: () => Promise.reject(new Error("nobody opened such a task")) };
const taskChecks = (): TaskChecks => ({
  consent: nobody,
  azureAccess: nobody,
  certificate: nobody,
  publishSpf: spfCheck(world()),
  withdrawSpf: withdrawSpfCheck(world()),
  ucmReport: nobody,
  delisting: nobody,
  emergencyRotation: nobody,
  changePassword: nobody,
  restoreMail: nobody,
});
const sweep = () => remindTasks({ stores, taskChecks: taskChecks(), log: createLog("debug", () => undefined) })();
const tasks = async () => (await stores.tasks.list(partnerId, {}, 50)).items;
const condition = async () =>
  (await stores.tenants.get(partnerId, tenant.tenantId)).conditions.find(({ type }) => type === "SpfPublished");

/** The end of an onboarding that was built, as its activity tells it. */
async function onboarded(): Promise<() => Promise<unknown>> {
  const { tenantId, spec } = tenant;
  await stores.tenants.add(partnerId, tenantId, spec);
  const ground = { regions: [{ machines: [{ id: "", ipAddress: ADDRESS, fqdn: "" }] }] };
  await stores.tenants.change(partnerId, tenantId, () => ({ stage: "pilot", facts: { ground } }));
  const id = randomUUID();
  const steps = onboardingSteps(spec);
  await stores.operations.create({ partnerId, tenantId, id, kind: "onboarding", requestHash: "", steps });
  const { checkSpf } = createOnboardingActivities(world() as unknown as OnboardingWorld);
  return () => checkSpf({ work: { partnerId, tenantId, operationId: id }, spec, addresses: [ADDRESS] });
}

test("a record to publish is one task, though its activity runs twice; it closes by itself, and the condition follows", async () => {
  const checkSpf = await onboarded();
  await Promise.all([checkSpf(), checkSpf()]);
  await checkSpf();
  const [task, ...others] = await tasks();
  expect(others).toEqual([]);
  expect(task).toMatchObject({
    state: "open",
    title: `Change the SPF record of ${domain()}`,
    record: { name: domain(), type: "TXT", ttl: 3600, value: RIGHT, strings: [RIGHT], replaces: "v=spf1 mx -all" },
  });
  if (!task) return;
  await sweep();
  expect(await stores.tasks.get(partnerId, task.id)).toMatchObject({
    state: "open",
    verification: { found: "missing", message: expect.stringContaining("its name servers have v=spf1 mx -all") },
  });
  expect(await condition()).toMatchObject({ status: "False", reason: "RecordToPublish" });

  // Not the whole of it: what is missing now is another record.
  await publish(`v=spf1 ip4:${ADDRESS} mx -all`);
  const early = await lookAt({ stores, taskChecks: taskChecks() }, task);
  expect(early).toMatchObject({ state: "open", record: { replaces: `v=spf1 ip4:${ADDRESS} mx -all` } });

  await publish(RIGHT);
  await sweep();
  expect(await stores.tasks.get(partnerId, task.id)).toMatchObject({ state: "done", verification: { found: "done" } });
  expect(await condition()).toMatchObject({ status: "True", reason: "Published" });

  // Somebody else's change is noticed, too; silence is none.
  const poll = pollSpf({ ...world(), log: createLog("debug", () => undefined) });
  await clouds.fault("dns", { kind: "servfail" }, {}, 100);
  await poll();
  await clouds.clearFaults();
  expect(await condition()).toMatchObject({ status: "True" });
  await publish("v=spf1 mx -all");
  await poll();
  expect(await condition()).toMatchObject({ status: "False", reason: "RecordToPublish" });
  expect((await tasks()).map(({ state }) => state).toSorted()).toEqual(["done", "open"]);
});

test("a record that is broken is put right by a person first; name servers that don't answer say nothing", async () => {
  await publish("v=spf1 mx -all", "v=spf1 a -all");
  const checkSpf = await onboarded();
  await checkSpf();
  const [task] = await tasks();
  expect(task).toMatchObject({ title: `Put right the SPF record of ${domain()}`, instructions: expect.stringMatching(/\S/) });
  expect(task).not.toHaveProperty("record");

  await clouds.fault("dns", { kind: "servfail" }, {}, 100);
  await sweep();
  await clouds.clearFaults();
  expect((await tasks())[0]).toMatchObject({ state: "open", verification: { found: "unknown" } });
  await stores.tenants.change(partnerId, tenant.tenantId, () => ({ facts: {}, stage: "gone" }));
  await sweep();
  expect((await tasks())[0]).toMatchObject({ state: "canceled", verification: { found: "needless" } });
});

test("after an offboarding the addresses are to be taken out, and the task closes when they are", async () => {
  await publish(RIGHT);
  const asked = { partnerId, tenantId: tenant.tenantId, domains: [domain()], addresses: [ADDRESS], kept: false };
  expect(await Promise.all([1, 2].map(() => askToWithdraw(world(), asked)))).toEqual([[domain()], [domain()]]);
  const [task, ...others] = await tasks();
  expect(others).toEqual([]);
  const left = "v=spf1 mx include:spf.protection.outlook.com -all";
  expect(task).toMatchObject({
    kind: "withdrawSpf",
    record: { value: left, replaces: RIGHT },
    verification: { found: "missing", message: expect.stringContaining(`ip4:${ADDRESS}`) },
  });
  await sweep();
  expect((await tasks())[0]?.state).toBe("open");
  await publish(left);
  await sweep();
  expect((await tasks())[0]).toMatchObject({ state: "done" });
  expect(await askToWithdraw(world(), asked)).toEqual([]);
});

test("whoever never named them is asked for nothing, unless we kept the record and can't read it now", async () => {
  const asked = { partnerId, tenantId: tenant.tenantId, domains: [domain()], addresses: [ADDRESS], kept: false };
  expect(await askToWithdraw(world(), asked)).toEqual([]);
  await clouds.fault("dns", { kind: "servfail" }, {}, 100);
  expect(await askToWithdraw(world(), asked)).toEqual([]);
  expect(await askToWithdraw(world(), { ...asked, kept: true })).toEqual([domain()]);
  await clouds.clearFaults();
  await sweep();
  expect((await tasks())[0]).toMatchObject({ state: "done" });
});
