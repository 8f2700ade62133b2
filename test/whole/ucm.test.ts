/** A server for itrezzo UCM beside the gateway: its size by the mailboxes, who reaches it, and the report of what is still missing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import type { Check } from "../../shared/api/plan.ts";
import { machinesBeside } from "../../shared/desired/beside.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { everyBodyFits } from "../support/arm-bodies.ts";
import { customerOf, customer, type Customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

interface ArmResource {
  id: string;
  name: string;
  type: string;
  properties: Record<string, unknown>;
}

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const account = "CONTOSO\\svc-ucm";
const ucm = {
  mailboxes: 120,
  serviceAccount: account,
  controllers: ["192.0.2.10"],
  services: { http: { sources: ["198.51.100.0/24"] } },
};
const withUcm = (name: string, mailboxes: number): Customer => {
  const { tenantId, body } = customer("contoso", name);
  return customerOf(tenantId, { ...body, ucm: { ...ucm, mailboxes } });
};

const resourcesOf = async ({ spec }: Customer): Promise<ArmResource[]> => {
  const { resources } = (await platform.clouds.state("arm")) as { resources: ArmResource[] };
  return resources.filter(({ id }) => id.toLowerCase().startsWith(`/subscriptions/${spec.azure.subscriptionId}/`));
};
const named = (resources: ArmResource[], name: string): ArmResource => {
  const found = resources.find((one) => one.name === name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
};
const reportOf = (result: unknown): { ready: boolean; checks: Check[] } =>
  (result as { ucm: { ready: boolean; checks: Check[] } }).ucm;
const statuses = (result: unknown): Record<string, string> =>
  Object.fromEntries(reportOf(result).checks.map(({ code, status }) => [code, status]));
const reached = (address: unknown, port: number, source: string): boolean =>
  platform.clouds.platform.peers.gatewayAt?.(String(address), port, source) !== undefined;

/** What the customer's administrator does: the machine's Windows knows the domain's accounts from then on. */
const join = (machine: ArmResource): Promise<void> =>
  platform.asStranger(async () => {
    const guests = platform.clouds.platform.collection<GuestState>("arm.guests");
    const guest = guests.get(machine.id.toLowerCase());
    if (!guest) throw new Error(`nothing runs on ${machine.name}`);
    const accounts = { ...guest.accounts, [account.toLowerCase()]: "S-1-5-21-1111111111-222222222-333333333-1104" };
    guests.set(machine.id.toLowerCase(), { ...guest, accounts });
  });

const missing = {
  UcmServiceAccount: "unknown",
  UcmImpersonation: "unknown",
  UcmThrottling: "unknown",
  UcmImage: "pass",
  UcmDomain: "unknown",
  UcmSize: "pass",
  UcmWebAdministration: "pass",
  UcmAccountRights: "fail",
  UcmWindowsSettings: "pass",
  UcmFirewall: "pass",
};

test("120 mailboxes: the server stands, nobody's mail waits for its domain, and once it is joined the rest is set", async () => {
  const tenant = withUcm("treyresearch", 120);
  await platform.organize(tenant);
  await platform.register(tenant);
  const planned = (await platform.northwind.planOnboarding({ tenantId: tenant.tenantId })).body;
  expect(planned.findings).toContainEqual(expect.objectContaining({ code: "UcmConsoleNeedsLegacyBrowser", severity: "warning" }));
  expect(planned.resources.map(({ name }) => name)).toContain("UCM VM");

  const first = await platform.onboard(tenant);
  expect(first.error).toBeUndefined();
  expect(first.result).toMatchObject({ stage: "pilot", ucm: { ready: false } });
  expect(statuses(first.result)).toEqual(missing);

  const resources = await resourcesOf(tenant);
  const machine = named(resources, "ucm");
  expect(machine.properties["hardwareProfile"]).toEqual({ vmSize: "Standard_D2s_v5" });
  const { ipAddress } = named(resources, "ucm-address").properties;
  expect(reached(ipAddress, 80, "198.51.100.7")).toBe(true);
  expect(reached(ipAddress, 80, "203.0.113.200")).toBe(false);
  for (const port of [25, 443, 3389, 50_000]) expect(reached(ipAddress, port, "198.51.100.7")).toBe(false);

  await join(machine);
  const second = await platform.untilEnded(await platform.start(tenant));
  expect(statuses(second.result)).toEqual({ ...missing, UcmDomain: "pass", UcmAccountRights: "pass" });

  const before = await platform.now();
  const third = await platform.untilEnded(await platform.start(tenant));
  expect(writes(await platform.record(before))).toEqual([]);
  expect(third.result).toEqual(second.result);
});

test("900 mailboxes: a larger one", async () => {
  const tenant = withUcm("relecloud", 900);
  const operation = await platform.onboard(tenant);
  expect(operation.error).toBeUndefined();
  const { vmSize } = named(await resourcesOf(tenant), "ucm").properties["hardwareProfile"] as { vmSize: string };
  expect(vmSize).not.toBe("Standard_D2s_v5");
  expect(reportOf(operation.result).checks.find(({ code }) => code === "UcmSize")).toMatchObject({
    status: "pass",
    message: expect.stringContaining("900 mailboxes want 4 and 8"),
  });
});

test("exactly 300 mailboxes take the larger size", () => {
  const sizeFor = (mailboxes: number) => machinesBeside(withUcm("contoso", mailboxes).spec)[0]?.minimum;
  expect([299, 300, 301].map(sizeFor)).toEqual([
    { virtualCpus: 2, memoryInGigabytes: 4 },
    { virtualCpus: 4, memoryInGigabytes: 8 },
    { virtualCpus: 4, memoryInGigabytes: 8 },
  ]);
});

test("a web administration that is open to anybody is refused, and so is an account without its domain", () => {
  const { body } = customer("contoso");
  const refused = (change: object): string[] =>
    (tenantSpecSchema.safeParse({ ...body, ucm: { ...ucm, ...change } }).error?.issues ?? []).map(({ path }) => path.join("."));
  expect(refused({})).toEqual([]);
  expect(refused({ services: { http: {} } })).toEqual(["ucm.services.http.sources"]);
  expect(refused({ services: { http: { sources: ["0.0.0.0/0"] } } })).toEqual(["ucm.services.http.sources.0"]);
  expect(refused({ serviceAccount: "svc-ucm" })).toEqual(["ucm.serviceAccount"]);
});

everyBodyFits(() => platform.record());
