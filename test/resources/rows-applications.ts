/** What the conformance suite needs to know about the applications in a customer's Entra tenant. */
import * as z from "zod";
import { literal, nothing } from "../../shared/graph/client.ts";
import { type ApplicationActual, EXCHANGE_ONLINE, type OwnedApplication } from "../../shared/graph/owned-application.ts";
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

export const applicationRows = { webClientApplication, powerShellApplication, exchangeWebServicesApplication };
