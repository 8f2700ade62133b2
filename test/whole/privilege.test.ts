/** Bootstrap high, run low: after the proof our application may run what it runs in Exchange Online, and nothing else. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createDirectory } from "../../infra/local/clouds/entra/directory.ts";
import { exchangeAdministrator, firstPartyApplications, microsoftGraph } from "../../infra/local/clouds/entra/first-party.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { expectedCmdlets } from "../../shared/exchange/management-roles.ts";
import { exchangeOf } from "../support/exchange.ts";
import { customer, type Customer, customerOf, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
beforeAll(async () => {
  platform = await startOnboarding();
});
afterAll(() => platform.stop());

const limited = (name: string): Customer => {
  const { tenantId, body } = customer("contoso", name);
  return customerOf(tenantId, { ...body, microsoft365: { ...body.microsoft365, leastPrivilege: true } });
};

/** By hand, not by our own client. */
async function allowedIn({ watched: { organization } }: Customer): Promise<string[]> {
  const { environment, application, exchange } = platform.clouds;
  const credential = createCredentials(environment, application).inTenant(organization);
  const token = await credential.getToken(`${environment.exchange.audience}/.default`);
  const response = await fetch(`${exchange}/adminapi/v1.0/${organization}/EXOModuleFile?Version=3.9.2`, {
    headers: { authorization: `Bearer ${token?.token ?? ""}`, commandname: "*" },
  });
  const { value } = (await response.json()) as { value: { exportedCmdlets: string }[] };
  return (value[0]?.exportedCmdlets ?? "").split(",").toSorted();
}

const directory = () => createDirectory(platform.clouds.platform);
const ourselvesIn = ({ watched: { organization } }: Customer): string => {
  const ours = directory().servicePrincipal(organization, { appId: platform.clouds.application.applicationId });
  if (!ours) throw new Error("nobody consented");
  return ours.id;
};
const permissionsIn = (who: Customer): string[] =>
  directory().rolesOf(who.watched.organization, ourselvesIn(who), microsoftGraph);
const isAdministrator = (who: Customer): boolean =>
  directory().holdsDirectoryRole(who.watched.organization, ourselvesIn(who), exchangeAdministrator);

/** What a customer's administrator grants for the bootstrap only, beside what the consent page asks for. */
async function lendRoleManagement(who: Customer): Promise<void> {
  await platform.organize(who);
  await platform.clouds.consent(who.watched.organization);
  const graph = firstPartyApplications.find(({ appId }) => appId === microsoftGraph);
  const role = graph?.appRoles.find(({ value }) => value === "RoleManagement.ReadWrite.Directory");
  const resource = directory().servicePrincipal(who.watched.organization, { appId: microsoftGraph });
  directory().ensureAppRoleAssignment(who.watched.organization, {
    principalId: ourselvesIn(who),
    resourceId: resource?.id ?? "",
    appRoleId: role?.id ?? "",
  });
}

const conditionOf = async ({ tenantId }: Customer) =>
  (await platform.northwind.getTenant({ tenantId })).body.conditions.find(({ type }) => type === "LeastPrivilege");
const privilegeOf = ({ result }: Operation): unknown => result?.["privilege"];
const whole = { outcome: "limited", missing: [], excess: [], expected: expectedCmdlets().length };

test("Exchange Administrator goes once the role group works, and with it the permission that took it; mail goes on, and again writes nothing", async () => {
  const tenant = limited("fourthcoffee");
  await lendRoleManagement(tenant);
  expect(permissionsIn(tenant)).toContain("RoleManagement.ReadWrite.Directory");
  await platform.register(tenant);
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation.error).toBeUndefined();
  expect(operation.result).toMatchObject({ stage: "pilot" });
  expect(privilegeOf(operation)).toEqual(whole);

  expect(await allowedIn(tenant)).toEqual(expectedCmdlets());
  expect(isAdministrator(tenant)).toBe(false);
  expect(permissionsIn(tenant)).not.toContain("RoleManagement.ReadWrite.Directory");
  expect(permissionsIn(tenant).length).toBeLessThanOrEqual(10);
  expect(await conditionOf(tenant)).toMatchObject({ status: "True", reason: "Limited" });
  const caller = await exchangeOf(platform.clouds, tenant.watched.organization);
  expect((await caller.call("New-RoleGroup", { Name: "Another" })).status).toBe(401);

  const before = await platform.now();
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(again.error).toBeUndefined();
  expect(writes(await platform.record(before))).toEqual([]);
  expect(privilegeOf(again)).toEqual(whole);

  // A rule that somebody switched off is repaired, and the mail loop is proven anew, with the narrow rights alone.
  await platform.asStranger(() =>
    caller.run("Disable-TransportRule", { Identity: "Route all Mails to own Azure VM", Confirm: false }),
  );
  const repaired = await platform.untilEnded(await platform.start(tenant));
  expect(repaired.error).toBeUndefined();
  expect(repaired.steps.find(({ name }) => name === "forwardingRule")).toMatchObject({ change: "updated" });
});

test("without that permission a person has to take the role away; the next onboarding finds it gone", async () => {
  const tenant = limited("alpineski");
  const operation = await platform.onboard(tenant);
  expect(operation.result).toMatchObject({ stage: "pilot", privilege: { outcome: "administratorRemains", missing: [] } });
  expect(await conditionOf(tenant)).toMatchObject({
    status: "False",
    reason: "AdministratorRemains",
    message: expect.stringMatching(/an administrator can take it away now .*New-|Enable-|Add-/),
  });
  expect(isAdministrator(tenant)).toBe(true);

  const held = directory()
    .directoryRoleAssignments(tenant.watched.organization)
    .find(({ principalId }) => principalId === ourselvesIn(tenant));
  await platform.asStranger(async () => directory().deleteDirectoryRole(tenant.watched.organization, held?.id ?? ""));
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(privilegeOf(again)).toEqual(whole);
  expect(await conditionOf(tenant)).toMatchObject({ status: "True" });
});

test("somebody gives our application more: it is named", async () => {
  const tenant = limited("blueyonder");
  await lendRoleManagement(tenant);
  await platform.register(tenant);
  await platform.untilEnded(await platform.start(tenant));
  await platform.asStranger(async () => {
    const { organization } = tenant.watched;
    directory().ensureDirectoryRole(organization, ourselvesIn(tenant), exchangeAdministrator);
    const caller = await exchangeOf(platform.clouds, organization);
    await caller.run("New-RoleGroup", {
      Name: "Group makers",
      Roles: ["Distribution Groups"],
      Members: [platform.clouds.application.applicationId],
    });
    const [held] = directory().directoryRoleAssignments(organization);
    directory().deleteDirectoryRole(organization, held?.id ?? "");
    for (let look = 0; look < 5; look++) await caller.call("Get-AcceptedDomain");
  });
  const again = await platform.untilEnded(await platform.start(tenant));
  expect(privilegeOf(again)).toMatchObject({ outcome: "tooMuch", missing: [] });
  expect(await conditionOf(tenant)).toMatchObject({
    status: "False",
    reason: "TooMuch",
    message: expect.stringMatching(/Add-DistributionGroupMember, .*New-DistributionGroup/),
  });
});
