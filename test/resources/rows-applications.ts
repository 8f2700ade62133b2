/** What the conformance suite needs to know about the applications in a customer's Entra tenant and what they reach. */
import * as z from "zod";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import { literal, nothing } from "../../shared/graph/client.ts";
import { type ApplicationActual, EXCHANGE_ONLINE, type OwnedApplication } from "../../shared/graph/owned-application.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Drift, Foreign, Row, Stranger } from "./conformance.ts";
import { type Json, names, owner, type World } from "./ground.ts";
import type { RowOf } from "./rows.ts";

type Change<Desired extends OwnedApplication> = Drift<Desired, ApplicationActual>;

export const applicationPath = ({ uniqueName }: { uniqueName: string }): string =>
  `/applications(uniqueName=${literal(uniqueName)})`;
const anything = z.looseObject({ id: z.string() });
const scopesOf = (application: Json): Json[] => (application["api"] as Json)["oauth2PermissionScopes"] as Json[];
const ofPrincipal = ({ servicePrincipalId }: { servicePrincipalId: string | null }): string =>
  `/servicePrincipals/${servicePrincipalId}`;
const grantsPath = ({ servicePrincipalId }: { servicePrincipalId: string | null }): string =>
  `/oauth2PermissionGrants?$filter=clientId%20eq%20${literal(servicePrincipalId ?? "")}`;
const sharePoint = {
  resourceAppId: "00000003-0000-0ff1-ce00-000000000000",
  resourceAccess: [{ id: "678536fe-1083-478a-9c59-b99265e6b0d3", type: "Role" }],
};

/** A change by hand of the registration. */
const registration = (paths: string[], changed: (application: Json) => object): Change<OwnedApplication> => ({
  paths,
  async change({ graph }, desired) {
    const application = await graph.get(desired.organization, applicationPath(desired), anything);
    await graph.patch(desired.organization, applicationPath(desired), changed(application), nothing);
  },
});

/** What every application of ours may be changed in. */
const everyDrift: Change<OwnedApplication>[] = [
  registration(["displayName"], () => ({ displayName: "Renamed" })),
  registration(["signInAudience"], () => ({ signInAudience: "AzureADMultipleOrgs" })),
  registration(["locked"], () => ({ servicePrincipalLockConfiguration: { isEnabled: false, allProperties: false } })),
];
/** Graph replaces the two together. */
const issuing = (paths: string[], enableIdTokenIssuance: boolean, enableAccessTokenIssuance: boolean) =>
  registration(paths, () => ({ web: { implicitGrantSettings: { enableIdTokenIssuance, enableAccessTokenIssuance } } }));
const publicClient = (allowed: boolean) => registration(["publicClient"], () => ({ isFallbackPublicClient: allowed }));
const required = registration(["requiredPermissions"], () => ({ requiredResourceAccess: [sharePoint] }));
const withoutPrincipal = (...paths: string[]): Change<OwnedApplication> => ({
  paths: ["servicePrincipal", ...paths],
  change: ({ graph }, { organization }, actual) => graph.delete(organization, ofPrincipal(actual)),
});
const withoutRoles: Change<OwnedApplication> = {
  paths: ["applicationPermissions"],
  async change({ graph }, { organization }, actual) {
    for (const { id } of await graph.list(organization, `${ofPrincipal(actual)}/appRoleAssignments`, anything))
      await graph.delete(organization, `${ofPrincipal(actual)}/appRoleAssignments/${id}`);
  },
};
const regranted = (scope: string): Change<OwnedApplication> => ({
  paths: ["delegatedPermissions"],
  async change({ graph }, { organization }, actual) {
    for (const { id } of await graph.list(organization, grantsPath(actual), anything))
      await graph.patch(organization, `/oauth2PermissionGrants/${id}`, { scope }, nothing);
  },
});

const everyone = {
  fixed: {},
  unowned: {
    what: "a note, tags, permissions of another API",
    async set({ graph }, desired) {
      const { requiredResourceAccess } = await graph.get(desired.organization, applicationPath(desired), anything);
      const changes = { notes: "asked for by Jane", tags: ["theirs"] };
      const access = [...(requiredResourceAccess as Json[]), sharePoint];
      await graph.patch(desired.organization, applicationPath(desired), { ...changes, requiredResourceAccess: access }, nothing);
    },
    async read({ graph }, desired) {
      const { notes, tags, requiredResourceAccess } = await graph.get(desired.organization, applicationPath(desired), anything);
      const theirs = (requiredResourceAccess as Json[]).filter(({ resourceAppId }) => resourceAppId === sharePoint.resourceAppId);
      return { notes, tags, theirs };
    },
  } satisfies Foreign<OwnedApplication>,
  stranger: {
    what: "an application of the same display name",
    meets: { beside: "the unique name, which is ours alone, is what it is found by" },
    set: ({ graph }, { organization, displayName }) => graph.post(organization, "/applications", { displayName }, anything),
    read: async ({ graph }, desired) =>
      (await named(graph, desired)).filter(({ uniqueName }) => uniqueName !== desired.uniqueName),
    async unset({ graph }, desired) {
      for (const { id } of await named(graph, desired)) await graph.delete(desired.organization, `/applications/${id}`);
    },
  } satisfies Stranger<OwnedApplication>,
  count: async ({ graph }, desired) =>
    (await named(graph, desired)).filter(({ uniqueName }) => uniqueName === desired.uniqueName).length,
} satisfies Partial<Row<OwnedApplication, ApplicationActual>>;

const named = async (graph: World["graph"], { organization, displayName }: OwnedApplication) =>
  (await graph.list(organization, "/applications", anything)).filter((one) => one["displayName"] === displayName);

const webClientApplication: RowOf<"webClientApplication"> = {
  ...everyone,
  prepare: async (one) => ({
    owner,
    organization: await one.organization(),
    uniqueName: names.webClientUniqueName,
    displayName: "iQ.Suite WebClient",
    redirectUris: ["https://contoso-gw.westeurope.cloudapp.azure.com/webclient/"],
  }),
  drifts: [
    ...everyDrift,
    registration(["redirectUris"], () => ({ web: { redirectUris: ["https://attacker.example/"] } })),
    issuing(["accessTokenIssuance", "idTokenIssuance"], false, true),
    publicClient(true),
    required,
    registration(["userImpersonation"], (application) => ({
      api: { oauth2PermissionScopes: scopesOf(application).map((scope) => ({ ...scope, isEnabled: false })) },
    })),
    registration(["identifierUri"], () => ({ identifierUris: [] })),
    withoutRoles,
    regranted("User.Read Group.Read.All"),
    withoutPrincipal("applicationPermissions", "delegatedPermissions"),
  ],
};

const powerShellApplication: RowOf<"powerShellApplication"> = {
  ...everyone,
  async prepare(one) {
    const organization = await one.organization();
    const webClient = {
      owner,
      organization,
      uniqueName: names.webClientUniqueName,
      displayName: "iQ.Suite WebClient",
      redirectUris: ["https://contoso-gw.westeurope.cloudapp.azure.com/webclient/"],
    };
    const { appId } = (await one.ensure("webClientApplication", webClient)) as ApplicationActual;
    return {
      owner,
      organization,
      uniqueName: names.powerShellUniqueName,
      displayName: "iQ.Suite PowerShell",
      webClientId: appId,
    };
  },
  drifts: [
    ...everyDrift,
    issuing(["accessTokenIssuance", "idTokenIssuance"], false, true),
    publicClient(false),
    required,
    regranted("other"),
    withoutPrincipal("delegatedPermissions"),
  ],
  fixed: { applicationPermissions: "it has none, and others' aren't ours" },
};

const exchangeWebServicesApplication: RowOf<"exchangeWebServicesApplication"> = {
  ...everyone,
  prepare: async (one) => ({
    owner,
    organization: await one.organization(),
    uniqueName: names.exchangeWebServicesUniqueName,
    displayName: "iQ.Suite Exchange Web Services",
    access: "scoped",
  }),
  drifts: [
    ...everyDrift,
    issuing(["accessTokenIssuance", "idTokenIssuance"], true, true),
    publicClient(true),
    registration(["requiredPermissions"], (application) => ({
      requiredResourceAccess: [
        ...(application["requiredResourceAccess"] as Json[]),
        { resourceAppId: EXCHANGE_ONLINE, resourceAccess: [{ id: "dc890d15-9560-4a4c-9b7f-a736ec74ec40", type: "Role" }] },
      ],
    })),
    {
      paths: ["applicationPermissions"],
      async change({ graph }, { organization }, { servicePrincipalId }) {
        const exchange = await graph.get(organization, `/servicePrincipals(appId=${literal(EXCHANGE_ONLINE)})`, anything);
        const appRoleId = "dc890d15-9560-4a4c-9b7f-a736ec74ec40";
        const grant = { principalId: servicePrincipalId, resourceId: exchange.id, appRoleId };
        await graph.post(organization, `/servicePrincipals/${servicePrincipalId}/appRoleAssignments`, grant, nothing);
      },
    },
    withoutPrincipal(),
  ],
  fixed: { delegatedPermissions: "it has none, and others' aren't ours" },
};

/** What an Exchange administrator runs. */
const cmdlet =
  <Desired extends { organization: string }>(name: string, parameters: (desired: Desired) => Json) =>
  async (one: World, desired: Desired): Promise<unknown> =>
    (await one.exchange(desired.organization)).run(name, parameters(desired));
const shown = async (one: World, organization: string, name: string, parameters: Json = {}): Promise<Json[]> =>
  (await one.exchange(organization)).list(name, parameters);

type Access = DesiredOf<Resources["mailboxAccess"]>;
const accessDrift = (path: string, name: string, parameters: (desired: Access) => Json) => ({
  paths: [path],
  change: cmdlet(name, parameters),
});
const byHand = { Name: "Others", RecipientRestrictionFilter: "CustomAttribute1 -eq 'x'" };

const mailboxAccess: RowOf<"mailboxAccess"> = {
  async prepare(one) {
    const organization = await one.organization();
    const exchange = await one.exchange(organization);
    const [{ DomainName }] = (await exchange.list("Get-AcceptedDomain", {})) as [Json];
    const group = `clerks@${String(DomainName)}`;
    await exchange.run("New-DistributionGroup", { Name: "Clerks of O'Neill", PrimarySmtpAddress: group, Type: "Security" });
    await exchange.run("New-ManagementScope", byHand);
    const application = {
      owner,
      organization,
      uniqueName: names.exchangeWebServicesUniqueName,
      displayName: "iQ.Suite Exchange Web Services",
      access: "scoped" as const,
    };
    const made = (await one.ensure("exchangeWebServicesApplication", application)) as ApplicationActual;
    return {
      owner,
      organization,
      name: names.exchangeWebServicesUniqueName,
      appId: made.appId,
      servicePrincipalId: made.servicePrincipalId ?? "",
      role: "Application EWS.AccessAsApp",
      group,
    };
  },
  drifts: [
    accessDrift("recipients", "Set-ManagementScope", ({ name }) => ({
      Identity: name,
      RecipientRestrictionFilter: "RecipientTypeDetails -eq 'UserMailbox'",
    })),
    accessDrift("scope", "Set-ManagementRoleAssignment", ({ name }) => ({ Identity: name, CustomResourceScope: "Others" })),
    {
      paths: ["role"],
      async change(one, desired) {
        const { name, servicePrincipalId } = desired;
        const exchange = await one.exchange(desired.organization);
        await exchange.run("Remove-ManagementRoleAssignment", { Identity: name, Confirm: false });
        const assignment = { Name: name, Role: "Application Exchange Full Access", CustomResourceScope: name };
        await exchange.run("New-ManagementRoleAssignment", { ...assignment, App: servicePrincipalId });
      },
    },
    {
      // As after the application's service principal was made anew in Entra.
      paths: ["servicePrincipal", "assignee"],
      async change(one, { organization, name, appId, role }) {
        const [exchange, ObjectId] = [await one.exchange(organization), "6233fba6-0198-4277-892f-9275bf728bcc"];
        await exchange.run("Remove-ManagementRoleAssignment", { Identity: name, Confirm: false });
        await exchange.run("Remove-ServicePrincipal", { Identity: appId, Confirm: false });
        await exchange.run("New-ServicePrincipal", { AppId: appId, ObjectId });
        await exchange.run("New-ManagementRoleAssignment", { Name: name, Role: role, App: ObjectId, CustomResourceScope: name });
      },
    },
  ],
  fixed: {
    members: "what the group's own name asks for: recipients are held against it",
  },
  unowned: {
    what: "another scope",
    set: cmdlet("Set-ManagementScope", () => ({ Identity: "Others", RecipientRestrictionFilter: "CustomAttribute1 -eq 'y'" })),
    read: (one, { organization }) => shown(one, organization, "Get-ManagementScope", { Identity: "Others" }),
  },
  stranger: { notApplicable: "its names carry a hash of partner and tenant, which nobody else's have" },
  count: async (one, { organization, name }) =>
    (await shown(one, organization, "Get-ManagementRoleAssignment")).filter(({ Name }) => Name === name).length,
};

const others = ["0813e73f-0c81-4d40-a17d-975186ff0478", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"];
const allowed = async (one: World, organization: string): Promise<string[]> => {
  const [config] = await shown(one, organization, "Get-OrganizationConfig", { RetrieveEwsOperationAccessPolicy: true });
  const list = config?.["EwsAllowedAppIDs"];
  return typeof list === "string" ? list.split(",") : [];
};

const exchangeWebServicesPolicy: RowOf<"exchangeWebServicesPolicy"> = {
  prepare: async (one) => ({ owner, organization: await one.organization(), appId: "71487acd-ec93-476d-bd0e-6c8b31831053" }),
  drifts: [{ paths: ["enabled"], change: cmdlet("Set-OrganizationConfig", () => ({ EwsEnabled: false })) }],
  fixed: { listed: "without our entry it is not there at all" },
  unowned: {
    what: "other applications on the list",
    async set(one, { organization }) {
      const list = [others[0], ...(await allowed(one, organization)), others[1]].join(",");
      await (await one.exchange(organization)).run("Set-OrganizationConfig", { EwsAllowedAppIDs: list });
    },
    read: async (one, { organization }) => (await allowed(one, organization)).filter((id) => others.includes(id)),
  },
  stranger: { notApplicable: "our entry is our application's id" },
  count: async (one, { organization, appId }) => (await allowed(one, organization)).filter((id) => id === appId).length,
};

export const applicationRows = {
  webClientApplication,
  powerShellApplication,
  exchangeWebServicesApplication,
  mailboxAccess,
  exchangeWebServicesPolicy,
};
