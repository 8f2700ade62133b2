/** SPF where the spec asks for it: published in a zone that we may write, a task where we may not, and never in a pilot's way. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { createAzure } from "../../shared/azure/client.ts";
import { namesOf as derivedNames } from "../../shared/azure/names.ts";
import { spfRecords } from "../../shared/desired/state.ts";
import { createResolver } from "../../shared/dns/resolver.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import { spfRecord } from "../../shared/resources/spf-record.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const azure = () => {
  const { environment, application } = platform.clouds;
  return createAzure({ environment, credentials: createCredentials(environment, application) });
};
const zoneId = (subscriptionId: string, name: string): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/domains/providers/Microsoft.Network/dnsZones/${name}`;
const inZone = ({ spec }: Customer) => ({ entraTenantId: spec.azure.tenantId, subscriptionId: spec.azure.subscriptionId });
const namesOf = ({ tenantId, spec }: Customer) =>
  derivedNames({ partnerId: "northwind", tenantId, regions: spec.gateway.regions });
const zoneOf = ({ spec }: Customer): string => spec.microsoft365.domains[0] ?? "";

/** As the customer's own people do it. */
const publishing = (tenant: Customer, ...values: string[]): Promise<void> =>
  platform.asStranger(async () => {
    const done = await azure().read(inZone(tenant), async (clients) => {
      const dns = await clients.dns();
      await (await clients.resources()).resourceGroups.createOrUpdate("domains", { location: "westeurope" });
      await dns.zones.createOrUpdate("domains", zoneOf(tenant), { location: "global" });
      const txtRecords = values.map((value) => ({ value: [value] }));
      return dns.recordSets.createOrUpdate("domains", zoneOf(tenant), "@", "TXT", { ttl: 300, txtRecords });
    });
    expect(done.state).toBe("present");
  });
const published = async (tenant: Customer): Promise<string[]> => {
  const set = await azure().read(inZone(tenant), async (clients) =>
    (await clients.dns()).recordSets.get("domains", zoneOf(tenant), "@", "TXT"),
  );
  return set.state === "present" ? (set.actual.txtRecords ?? []).map(({ value = [] }) => value.join("")) : [];
};

const egressOf = ({ result }: Operation): string[] => (result ? (result["egressIps"] as string[]) : []);
const spfCustomer = (name: string, zones: (subscriptionId: string, domain: string) => string[]): Customer => {
  const plain = customer("contoso", name);
  const spf = { zones: zones(plain.spec.azure.subscriptionId, plain.spec.microsoft365.domains[0] ?? "") };
  return { ...plain, body: { ...plain.body, spf } };
};
const spfCondition = async ({ tenantId }: Customer) =>
  (await platform.northwind.getTenant({ tenantId })).body.conditions.find(({ type }) => type === "SpfPublished");

test("in a zone that we may write the record is widened, and follows the gateways as they come", async () => {
  const tenant = spfCustomer("proseware", (subscription, domain) => [zoneId(subscription, domain)]);
  await platform.organize(tenant);
  await publishing(tenant, "MS=ms12345678", "v=spf1 mx include:spf.protection.outlook.com -all");
  const first = await platform.onboard(tenant);
  expect(first.error).toBeUndefined();
  const [old = ""] = egressOf(first);
  expect(await published(tenant)).toEqual(["MS=ms12345678", `v=spf1 ip4:${old} mx include:spf.protection.outlook.com -all`]);
  expect(first.result?.["spf"]).toEqual([expect.objectContaining({ domain: zoneOf(tenant), state: "published" })]);
  expect(await spfCondition(tenant)).toMatchObject({ status: "True", reason: "Published" });

  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before)).filter((write) => write.includes("dnsZones"))).toEqual([]);

  // As when a gateway gets another address, and at last when all of it goes.
  await platform.asStranger(async () => {
    const record = spfRecord({ azure: azure(), resolver: createResolver({ servers: platform.clouds.environment.dnsServers }) });
    const [desired] = spfRecords(
      {
        work: { partnerId: "northwind", tenantId: tenant.tenantId },
        spec: tenantSpecSchema.parse(tenant.body),
        names: namesOf(tenant),
      },
      { regions: [{ machines: [{ id: "", ipAddress: "203.0.113.200", fqdn: "" }] }] },
      "stay",
    );
    if (!desired) throw new Error("there is no record");
    const ensure = ensuring(record, async () => undefined);
    await ensure(desired);
    expect(await published(tenant)).toContain(`v=spf1 ip4:203.0.113.200 ip4:${old} mx include:spf.protection.outlook.com -all`);
    await ensure({ ...desired, earlier: "go" });
    expect(await published(tenant)).toContain("v=spf1 ip4:203.0.113.200 mx include:spf.protection.outlook.com -all");
    await record.remove(desired);
    expect(await published(tenant)).toEqual(["MS=ms12345678", "v=spf1 mx include:spf.protection.outlook.com -all"]);
  });
});

test("of a domain whose zone is not named, the exact record is a task; the pilot runs all the same", async () => {
  const tenant = spfCustomer("alpineski", () => []);
  await platform.organize(tenant);
  await publishing(tenant, "v=spf1 mx -all");
  const operation = await platform.onboard(tenant);
  expect(operation.error).toBeUndefined();
  const [address] = egressOf(operation);
  const value = `v=spf1 ip4:${address} mx include:spf.protection.outlook.com -all`;
  expect(operation.result?.["spf"]).toEqual([
    {
      domain: zoneOf(tenant),
      state: "toPublish",
      reason: "RecordToPublish",
      message: expect.stringContaining(value),
      task: {
        kind: "publishSpf",
        title: `Change the SPF record of ${zoneOf(tenant)}`,
        name: zoneOf(tenant),
        type: "TXT",
        ttl: 3600,
        value,
        strings: [value],
        replaces: "v=spf1 mx -all",
      },
    },
  ]);
  expect(await spfCondition(tenant)).toMatchObject({ status: "False", reason: "RecordToPublish" });
  const { findings } = (await platform.northwind.planOnboarding({ tenantId: tenant.tenantId })).body;
  expect(findings.map(({ code }) => code)).toContain("SpfTaskAhead");

  const { tenantId } = tenant;
  const [task] = (await platform.northwind.listTasks({ tenantId, kind: "publishSpf", state: "open" })).body.value;
  const taskId = task?.id ?? "";
  expect(task?.record).toMatchObject({ value, replaces: "v=spf1 mx -all" });
  await expect(platform.northwind.completeTask({ taskId })).rejects.toMatchObject({
    code: "TaskNotDone",
    message: expect.stringContaining("its name servers have v=spf1 mx -all"),
  });

  await publishing(tenant, value);
  await platform.fire("remindTasks");
  await vi.waitFor(async () => expect(await spfCondition(tenant)).toMatchObject({ status: "True", reason: "Published" }), 20_000);
  expect((await platform.northwind.completeTask({ taskId })).body.state).toBe("done");

  const leaving = await platform.northwind.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } });
  expect((await platform.untilEnded(leaving.body)).error).toBeUndefined();
  const [left] = (await platform.northwind.listTasks({ tenantId, kind: "withdrawSpf" })).body.value;
  const without = "v=spf1 mx include:spf.protection.outlook.com -all";
  expect(left).toMatchObject({ state: "open", record: { value: without, replaces: value } });
  await expect(platform.northwind.completeTask({ taskId: left?.id ?? "" })).rejects.toMatchObject({ code: "TaskNotDone" });
  await publishing(tenant, without);
  expect((await platform.northwind.completeTask({ taskId: left?.id ?? "" })).body.state).toBe("done");
});

test("a record that would break is left alone and said, and the pilot runs", async () => {
  const tenant = spfCustomer("wingtip", (subscription, domain) => [zoneId(subscription, domain)]);
  await platform.organize(tenant);
  const broken = ["v=spf1 mx -all", "v=spf1 include:spf.protection.outlook.com -all"];
  await publishing(tenant, ...broken);
  const operation = await platform.onboard(tenant);
  expect(operation.error).toBeUndefined();
  expect(operation.steps.find(({ name }) => name === "spfRecord")).toMatchObject({
    status: "Failed",
    error: { code: "SpfRecordsSeveral" },
  });
  expect(await published(tenant)).toEqual(broken);
  expect(await spfCondition(tenant)).toMatchObject({ status: "False", reason: "SpfRecordsSeveral" });
});
