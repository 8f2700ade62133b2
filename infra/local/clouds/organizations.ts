/** Who lives on this platform: ourselves, two partners with a client each, and whatever customers `POST /organizations` makes. */
import * as z from "zod";
import { applicationRole, createDirectory } from "./entra/directory.ts";
import { exchangeOnline, firstPartyApplications, microsoftGraph } from "./entra/first-party.ts";
import type { Organization, Platform } from "./simulator.ts";

const lower = (text: string): string => text.toLowerCase();
const domainName = z.string().min(1).max(253).transform(lower);

export const organizationSchema = z.strictObject({
  tenantId: z.guid().transform(lower),
  displayName: z.string().min(1).optional(),
  domains: z
    .array(
      z.union([
        domainName.transform((name) => ({ name, verified: true })),
        z.strictObject({ name: domainName, verified: z.boolean().default(true) }),
      ]),
    )
    .default([]),
  mailboxes: z.array(z.email().transform(lower)).default([]),
  subscriptionId: z.guid().transform(lower).optional(),
  offer: z.enum(["EnterpriseAgreement", "PayAsYouGo", "CSP"]).optional(),
  azureAccess: z.boolean().optional(),
  clientSecrets: z.strictObject({ forbidden: z.boolean().optional(), longestLifetimeInDays: z.number().optional() }).optional(),
  exchange: z
    .strictObject({
      dehydrated: z.boolean().optional(),
      inboundConnectorsDisabled: z.boolean().optional(),
      rejectDirectSend: z.boolean().optional(),
      acceptedDomains: z.record(domainName, z.enum(["Authoritative", "InternalRelay", "ExternalRelay", "none"])).optional(),
      ewsEnabled: z.boolean().nullable().optional(),
      ewsAllowedAppIds: z.string().nullable().optional(),
      mailboxes: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
      unlicensed: z.array(z.email().transform(lower)).optional(),
      externalRecipients: z.strictObject({ observed: z.int().min(0), threshold: z.int().min(0) }).optional(),
    })
    .optional(),
});

export type NewOrganization = z.input<typeof organizationSchema>;

/** A registered client that calls the partner API. */
export interface Client {
  role: "partner" | "operator";
  /** Absent for the operator. */
  partnerId?: string;
  tenantId: string;
  clientId: string;
  clientSecret: string;
}

/**
 * Makes an organisation, or adds to the one that is there what it lacks; its domains stay as they are. A domain that another
 * organisation has verified is unverified here, as Microsoft 365 lets one organisation only verify it.
 */
export function registerOrganization(platform: Platform, given: z.output<typeof organizationSchema>): Organization {
  const { organizations } = platform;
  const { tenantId } = given;
  const known = organizations.get(tenantId);
  const others = organizations.values().filter((one) => one.tenantId !== tenantId);
  const takenDomain = (name: string): boolean =>
    others.some(({ domains }) => domains.some((domain) => domain.verified && domain.name === name));
  if (given.subscriptionId !== undefined && others.some(({ subscriptionId }) => subscriptionId === given.subscriptionId)) {
    throw new SubscriptionTaken(given.subscriptionId);
  }

  const domains = [...(known?.domains ?? [])];
  for (const { name, verified } of given.domains) {
    if (!domains.some((domain) => domain.name === name))
      domains.push({ name, verified: verified && !takenDomain(name), initial: false });
  }
  const firstLabel = given.domains[0]?.name.split(".")[0] ?? `tenant${tenantId.slice(0, 8)}`;
  if (!domains.some(({ initial }) => initial)) {
    const initial = [`${firstLabel}.onmicrosoft.example`, `${firstLabel}${tenantId.slice(0, 8)}.onmicrosoft.example`].find(
      (name) => !takenDomain(name),
    );
    domains.push({ name: initial ?? `${tenantId}.onmicrosoft.example`, verified: true, initial: true });
  }
  const subscriptionId = known?.subscriptionId ?? given.subscriptionId;
  const organization: Organization = {
    tenantId,
    displayName: known?.displayName ?? given.displayName ?? firstLabel,
    domains,
    mailboxes: [...new Set([...(known?.mailboxes ?? []), ...given.mailboxes])],
    ...(subscriptionId === undefined ? {} : { subscriptionId }),
    offer: given.offer ?? known?.offer ?? "EnterpriseAgreement",
    azureAccess: given.azureAccess ?? known?.azureAccess ?? subscriptionId !== undefined,
    ...((given.clientSecrets ?? known?.clientSecrets) ? { clientSecrets: given.clientSecrets ?? known?.clientSecrets } : {}),
    ...((given.exchange ?? known?.exchange) ? { exchange: { ...known?.exchange, ...given.exchange } } : {}),
  };
  organizations.set(tenantId, organization);

  const directory = createDirectory(platform);
  for (const { appId } of firstPartyApplications) directory.ensureServicePrincipal(tenantId, appId);
  if (organization.azureAccess) directory.ensureServicePrincipal(tenantId, platform.identity.applicationId);
  return organization;
}

export class SubscriptionTaken extends Error {
  constructor(subscriptionId: string) {
    super(`subscription ${subscriptionId} belongs to another organization`);
  }
}

/** App role "Partner" and "Operator" of our application: what the API asks of its callers. */
const apiRoles = {
  partner: applicationRole({
    id: "90a7e000-0000-4000-8000-0000000000a1",
    value: "Partner",
    displayName: "Manage the own customers' gateways",
  }),
  operator: applicationRole({ id: "90a7e000-0000-4000-8000-0000000000a2", value: "Operator", displayName: "Operate Gatehouse" }),
};

/** Application permissions that consent grants, by the resource's application id. */
const requiredPermissions: Record<string, string[]> = {
  [microsoftGraph]: [
    "Application.ReadWrite.OwnedBy",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Domain.Read.All",
    "Mail.Read",
    "Mail.Send",
    "Organization.Read.All",
  ],
  [exchangeOnline]: ["Exchange.ManageAsApp"],
};

/** The partners that exist from the start. */
const partners = [
  { partnerId: "northwind", tenantId: "9a47e000-0000-4000-8000-000000000001", clientId: "9a47e000-0000-4000-8000-0000000000c1" },
  { partnerId: "tailspin", tenantId: "9a47e000-0000-4000-8000-000000000002", clientId: "9a47e000-0000-4000-8000-0000000000c2" },
];
const operatorClientId = "90a7e000-0000-4000-8000-0000000000c0";

/** Makes what every platform has, and brings our application's registration up to date with this start's settings. */
export function settle(platform: Platform, { issuer, redirectUris }: { issuer: string; redirectUris: string[] }): Client[] {
  const { homeTenantId, applicationId, managedIdentity } = platform.identity;
  const directory = createDirectory(platform);
  const organize = (tenantId: string, displayName: string): void => {
    const domains = [{ name: `${displayName.toLowerCase()}.example`, verified: true }];
    registerOrganization(platform, { tenantId, displayName, domains, mailboxes: [], azureAccess: false });
  };
  organize(homeTenantId, "Gatehouse");
  const ours =
    directory.application(homeTenantId, { appId: applicationId }) ??
    directory.addApplication(homeTenantId, { appId: applicationId, displayName: "Gatehouse" });
  directory.replaceApplication(homeTenantId, {
    ...ours,
    signInAudience: "AzureADMultipleOrgs",
    redirectUris,
    appRoles: Object.values(apiRoles),
    requiredResourceAccess: Object.entries(requiredPermissions).map(([resourceAppId, values]) => ({
      resourceAppId,
      resourceAccess: permissionIds(resourceAppId, values).map((id) => ({ id, type: "Role" as const })),
    })),
    federatedIdentityCredentials: [
      {
        id: managedIdentity.principalId,
        name: "function-app",
        issuer,
        subject: managedIdentity.principalId,
        audiences: [platform.environment.tokenExchangeAudience],
      },
    ],
  });
  directory.ensureServicePrincipal(homeTenantId, applicationId);

  const clients = platform.collection<Client>("platform.clients");
  const enrol = (client: Omit<Client, "clientSecret">): Client => {
    const known = clients.get(client.clientId);
    const enrolled = known ?? { ...client, clientSecret: register(client) };
    platform.secrets.add(enrolled.clientSecret);
    clients.set(client.clientId, enrolled);
    return enrolled;
  };
  function register({ role, tenantId, clientId }: Omit<Client, "clientSecret">): string {
    const { id } = directory.addApplication(tenantId, {
      appId: clientId,
      displayName: role === "operator" ? "Gatehouse operators" : "Partner portal",
    });
    const principal = directory.ensureServicePrincipal(tenantId, clientId);
    const resource = directory.ensureServicePrincipal(tenantId, applicationId);
    const password = directory.addPassword(tenantId, id, { displayName: "portal", endDateTime: "2099-12-31T00:00:00Z" });
    if (!principal || !resource || !password) throw new Error(`registering the ${role}'s client application in ${tenantId}`);
    directory.ensureAppRoleAssignment(tenantId, {
      principalId: principal.id,
      resourceId: resource.id,
      appRoleId: apiRoles[role].id,
    });
    return password.secretText;
  }
  const result: Client[] = [];
  for (const { partnerId, tenantId, clientId } of partners) {
    organize(tenantId, partnerId.charAt(0).toUpperCase() + partnerId.slice(1));
    result.push(enrol({ role: "partner", partnerId, tenantId, clientId }));
  }
  result.push(enrol({ role: "operator", tenantId: homeTenantId, clientId: operatorClientId }));
  return result;
}

function permissionIds(appId: string, values: string[]): string[] {
  const roles = firstPartyApplications.find((one) => one.appId === appId)?.appRoles ?? [];
  return values.flatMap((value) => roles.find((role) => role.value === value)?.id ?? []);
}
