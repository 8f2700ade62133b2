/**
 * An onboarding with all applications that a spec may ask for: each has what it needs and no more, the gateways name them by their rotated
 * secrets, and what somebody else decided in the same places stays.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import {
  type Application,
  type AppRoleAssignment,
  hashOf,
  type OAuth2PermissionGrant,
  type ServicePrincipal,
} from "../../infra/local/clouds/entra/directory.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { exchangeOf } from "../support/exchange.ts";
import { customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";
import { secretsSeen } from "../support/secret-search.ts";

const FULL_ACCESS = "dc890d15-9560-4a4c-9b7f-a736ec74ec40";
const somebodyElses = "0813e73f-0c81-4d40-a17d-975186ff0478";
const group = "clerks@woodgrove.example";
const tenant = (() => {
  const { body } = customer("contoso", "woodgrove");
  const microsoft365 = {
    ...body.microsoft365,
    powerShellApplication: true,
    webClient: { urls: ["https://webclient.woodgrove.example/"], thumbnails: true },
  };
  return customer("contoso", "woodgrove", { exchangeWebServices: { access: "group", group } }, { microsoft365 });
})();
const { tenantId } = tenant;
const organization = tenant.spec.microsoft365.tenantId;
const { probeMailbox } = tenant.spec.microsoft365;

let platform: OnboardingPlatform;
let operation: Operation;
beforeAll(async () => {
  platform = await startOnboarding();
  await platform.organize(tenant);
  await platform.clouds.organize({
    tenantId: organization,
    mailboxes: ["director@woodgrove.example"],
    exchange: { ewsEnabled: false, ewsAllowedAppIds: somebodyElses },
  });
  const now = new Date().toISOString();
  const clerks = { tenantId: organization, guid: randomUUID(), name: "Clerks", address: group, members: [probeMailbox] };
  collection("exchange.groups").set(`${organization}/${clerks.guid}`, {
    ...clerks,
    security: true,
    whenCreated: now,
    whenChanged: now,
  });
  await platform.register(tenant);
  operation = await platform.untilEnded(await platform.start(tenant));
});
afterAll(() => platform.stop());

const collection = <T>(name: string) => platform.clouds.platform.collection<T>(name);
const ofTenant = <T>(name: string): T[] =>
  collection<T>(name)
    .entries()
    .flatMap(([key, value]) => (key.startsWith(`${organization}/`) ? [value] : []));
const application = (part: string): Application => {
  const found = ofTenant<Application>("entra.applications").find(({ uniqueName }) => uniqueName?.includes(`-${part}-`));
  if (!found) throw new Error(`there is no application ${part}`);
  return found;
};
const principalOf = ({ appId }: Application): ServicePrincipal => {
  const found = ofTenant<ServicePrincipal>("entra.servicePrincipals").find((one) => one.appId === appId);
  if (!found) throw new Error(`${appId} has no service principal`);
  return found;
};
const rolesOf = (one: Application): AppRoleAssignment[] =>
  ofTenant<AppRoleAssignment>("entra.appRoleAssignments").filter(({ principalId }) => principalId === principalOf(one).id);
const grantsOf = (one: Application): OAuth2PermissionGrant[] =>
  ofTenant<OAuth2PermissionGrant>("entra.oauth2PermissionGrants").filter(({ clientId }) => clientId === principalOf(one).id);
const again = async (): Promise<{ ended: Operation; written: string[] }> => {
  const before = await platform.now();
  const ended = await platform.untilEnded(await platform.start(tenant));
  return { ended, written: writes(await platform.record(before)).map((write) => write.replace(/\?.*/, "")) };
};

test("WebClient's application has its addresses and may read people's pictures", () => {
  expect(operation.error).toBeUndefined();
  const webClient = application("webclient");
  const [smartHost] = (operation.result?.["smartHosts"] ?? []) as string[];
  expect(webClient.redirectUris).toEqual([`https://${smartHost}/webclient/`, "https://webclient.woodgrove.example/"]);
  expect(rolesOf(webClient)).toHaveLength(2);
  expect(grantsOf(webClient).map(({ scope }) => scope)).toEqual(["Directory.Read.All User.Read"]);
});

test("PowerShell's is a public client that acts in WebClient's for people who signed in, and comes after it", async () => {
  const [webClient, powerShell] = [application("webclient"), application("powershell")];
  expect(powerShell.properties).toMatchObject({ isFallbackPublicClient: true });
  expect(grantsOf(powerShell)).toMatchObject([
    { resourceId: principalOf(webClient).id, scope: "user_impersonation", consentType: "AllPrincipals" },
  ]);
  expect(rolesOf(powerShell)).toEqual([]);
  const record = await platform.record();
  const firstOf = (method: string, part: string): number =>
    record.findIndex((one) => one.method === method && decodeURIComponent(one.url).includes(part));
  expect(firstOf("PATCH", "gatehouse-webclient-")).toBeLessThan(firstOf("PATCH", "gatehouse-powershell-"));
  // Mission F10: what machines name is there before them.
  expect(firstOf("PATCH", "gatehouse-ews-")).toBeLessThan(firstOf("PUT", "/virtualMachines/gateway-1"));
});

test("the application for Exchange Web Services reaches the group's mailboxes and no others, and is on the list beside somebody else's", async () => {
  const reader = application("ews");
  expect([rolesOf(reader), grantsOf(reader), reader.requiredResourceAccess]).toEqual([[], [], []]);
  const exchange = await exchangeOf(platform.clouds, organization);
  const inScope = async (mailbox: string): Promise<unknown> => {
    const answer = (await exchange.run("Test-ServicePrincipalAuthorization", { Identity: reader.appId, Resource: mailbox })) as {
      value: Record<string, unknown>[];
    };
    return answer.value.map(({ RoleName, InScope }) => [RoleName, InScope]);
  };
  expect(await inScope(probeMailbox)).toEqual([["Application EWS.AccessAsApp", true]]);
  expect(await inScope("director@woodgrove.example")).toEqual([["Application EWS.AccessAsApp", false]]);
  expect(await exchange.list("Get-OrganizationConfig", { RetrieveEwsOperationAccessPolicy: true })).toMatchObject([
    { EwsEnabled: true, EwsAllowedAppIDs: `${somebodyElses},${reader.appId}` },
  ]);
});

test("plan and result tell when Exchange Web Services end", async () => {
  const ending = expect.objectContaining({ code: "EwsEnding", message: expect.stringContaining("1 April 2027") });
  expect(operation.result?.["findings"]).toContainEqual(ending);
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  expect(plan.findings).toContainEqual(ending);
  expect(plan.resources.filter(({ action }) => action !== "none")).toEqual([]);
});

test("asked again, nothing is written, and the answer is the same", async () => {
  const { ended, written } = await again();
  expect(ended.error).toBeUndefined();
  expect(written).toEqual([]);
  expect(ended.result).toEqual(operation.result);
});

interface Guest {
  registry: Record<string, Record<string, { data: unknown }>>;
}
const ewsScan = (): Record<string, { data: unknown }> => {
  const [, guest] =
    collection<Guest>("arm.guests")
      .entries()
      .find(([id]) => id.toLowerCase().includes(tenant.spec.azure.subscriptionId)) ?? [];
  return guest?.registry["hklm\\software\\gbs\\iq.suite\\ewsscan"] ?? {};
};

test("the daily sweep has both secrets made; the gateway holds those that Entra takes, and they are seen nowhere", async () => {
  await platform.fire("sweepCredentials");
  const settled = async () => {
    const { value } = (await platform.northwind.listCredentials({ tenantId })).body;
    return value.length === 2 && value.every((one) => one.expiresAt && !one.overlapping && !one.operationId);
  };
  while (!(await settled())) await pause(200);

  const reader = application("ews");
  expect(ewsScan()).toMatchObject({
    UseOAuth: { data: 1 },
    OAuthTenantId: { data: organization },
    OAuthClientId: { data: reader.appId },
  });
  const held = String(ewsScan()["OAuthClientSecret"]?.data);
  expect(reader.passwordCredentials.map(({ hash }) => hash)).toEqual([hashOf(held)]);
  expect(application("webclient").passwordCredentials).toHaveLength(1);

  const secrets = new Map<string, string>();
  for (const [name, { versions }] of collection<{ versions: { value: string }[] }>("vault.secrets").entries())
    for (const [index, { value }] of versions.entries()) secrets.set(`${name} ${index}`, value);
  expect([...secrets.keys()].filter((name) => /webclient-client-secret|ews-client-secret/.test(name)).length).toBe(2);
  expect([...secrets.values()]).toContain(held);
  const { value: operations } = (await platform.northwind.listOperations({ tenantId })).body;
  const told = JSON.stringify([await platform.record(), platform.logged, operations, await platform.clouds.state("graph")]);
  expect(secretsSeen(told, secrets)).toEqual([]);

  const { ended, written } = await again();
  expect(ended.error).toBeUndefined();
  expect(written).toEqual([]);
});

test("access to all mailboxes that somebody gave it beside is shown, and taken away by one write", async () => {
  const reader = application("ews");
  const exchangeOnline = ofTenant<ServicePrincipal>("entra.servicePrincipals").find(
    ({ appId }) => appId === "00000002-0000-0ff1-ce00-000000000000",
  );
  await platform.asStranger(async () => {
    const grant: AppRoleAssignment = {
      id: randomUUID(),
      createdDateTime: new Date().toISOString(),
      principalId: principalOf(reader).id,
      principalDisplayName: reader.displayName,
      principalType: "ServicePrincipal",
      resourceId: exchangeOnline?.id ?? "",
      resourceDisplayName: "Office 365 Exchange Online",
      appRoleId: FULL_ACCESS,
    };
    collection<AppRoleAssignment>("entra.appRoleAssignments").set(`${organization}/${grant.id}`, grant);
  });
  const { body: plan } = await platform.northwind.planOnboarding({ tenantId });
  expect(plan.resources.filter(({ action }) => action !== "none")).toEqual([
    {
      kind: "exchangeWebServicesApplication",
      name: "Application for Exchange Web Services in Entra",
      action: "update",
      changes: [{ path: "applicationPermissions", from: ["full_access_as_app"], to: [] }],
    },
  ]);
  const { ended, written } = await again();
  expect(ended.error).toBeUndefined();
  expect(written).toEqual([expect.stringMatching(/^graph DELETE .*\/appRoleAssignments\//)]);
  expect(rolesOf(reader)).toEqual([]);
});

test("a group of another name is found again: its members stay those whose mailboxes are reached", async () => {
  const [clerks] = ofTenant<{ guid: string; name: string }>("exchange.groups");
  if (!clerks) throw new Error("there is no group");
  collection("exchange.groups").set(`${organization}/${clerks.guid}`, { ...clerks, name: "Clerks of 2027" });
  const { ended, written } = await again();
  expect(ended.error).toBeUndefined();
  expect(written).toHaveLength(1);
  const sent = (await platform.record()).filter((one) => cmdletOf(one) === "Set-ManagementScope");
  expect(JSON.stringify(sent.at(-1)?.requestBody)).toContain("Clerks of 2027");
});

const cmdletOf = ({ requestBody }: Exchange): string | undefined =>
  (requestBody as { CmdletInput?: { CmdletName?: string } } | undefined)?.CmdletInput?.CmdletName;
