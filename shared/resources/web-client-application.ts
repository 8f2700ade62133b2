/**
 * Mission D1 (manual, chapter 5.1): the application by which WebClient signs people in and reads the directory, with the grants that an
 * administrator's consent would give. Microsoft Graph only: Azure AD Graph was retired in July 2025.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { type Graph, literal, nothing } from "../graph/client.ts";
import { observing } from "./observing.ts";
import { changesBetween } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export interface WebClientApplication {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Immutable and ours: what the application is found by. */
  uniqueName: string;
  displayName: string;
  /** With trailing slash, as the product asks. */
  redirectUris: string[];
}

export interface WebClientApplicationActual extends ApplicationSettings {
  /** Client id. */
  appId: string;
  objectId: string;
  servicePrincipalId: string | null;
}

interface ApplicationSettings {
  displayName: string;
  signInAudience: string | null;
  redirectUris: string[];
  idTokenIssuance: boolean;
  accessTokenIssuance: boolean;
  /** Permissions of Microsoft Graph that the registration asks for, `type:id`. */
  requiredPermissions: string[];
  /** The scope `user_impersonation` is exposed, under `api://<client id>`. */
  userImpersonation: "exposed" | "missing";
  identifierUri: "set" | "missing";
  /** Nobody adds credentials to the service principal in the tenant. */
  locked: boolean;
  servicePrincipal: "present" | "missing";
  /** Granted: app roles and delegated permissions of Microsoft Graph. */
  applicationPermissions: string[];
  delegatedPermissions: string[];
}

const KIND = "webClientApplication";
const MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000";
const APPLICATION_PERMISSIONS = ["Directory.Read.All"];
const DELEGATED_PERMISSIONS = ["Directory.Read.All", "User.Read"];
// Source: Microsoft Graph permissions reference; checked against the tenant's own Graph before a grant.
const REQUIRED_PERMISSIONS = [
  { id: "7ab1d382-f21e-4acd-a863-ba3e13f7da61", type: "Role" }, // Directory.Read.All
  { id: "06da0dbc-49e2-44d2-8312-53f166ab848a", type: "Scope" }, // Directory.Read.All
  { id: "e1fe6dd8-ba31-4d61-89e7-88639da4683d", type: "Scope" }, // User.Read
];

const permissionSchema = z.looseObject({ id: z.string(), value: z.string().nullish() });
const scopeSchema = z.looseObject({ id: z.string(), value: z.string().nullish(), isEnabled: z.boolean().nullish() });
const applicationSchema = z.looseObject({
  id: z.string(),
  appId: z.string(),
  displayName: z.string().nullish(),
  signInAudience: z.string().nullish(),
  identifierUris: z.array(z.string()).nullish(),
  web: z
    .looseObject({
      redirectUris: z.array(z.string()).nullish(),
      implicitGrantSettings: z
        .looseObject({ enableIdTokenIssuance: z.boolean().nullish(), enableAccessTokenIssuance: z.boolean().nullish() })
        .nullish(),
    })
    .nullish(),
  api: z.looseObject({ oauth2PermissionScopes: z.array(scopeSchema).nullish() }).nullish(),
  requiredResourceAccess: z
    .array(
      z.looseObject({ resourceAppId: z.string(), resourceAccess: z.array(z.looseObject({ id: z.string(), type: z.string() })) }),
    )
    .nullish(),
  servicePrincipalLockConfiguration: z
    .looseObject({ isEnabled: z.boolean().nullish(), allProperties: z.boolean().nullish() })
    .nullish(),
});
type Application = z.output<typeof applicationSchema>;
const idSchema = z.looseObject({ id: z.string() });
const assignmentSchema = z.looseObject({ id: z.string(), appRoleId: z.string(), resourceId: z.string() });
const grantSchema = z.looseObject({
  id: z.string(),
  consentType: z.string(),
  resourceId: z.string(),
  scope: z.string().nullish(),
});
const resourceSchema = z.looseObject({
  id: z.string(),
  appRoles: z.array(permissionSchema).nullish(),
  oauth2PermissionScopes: z.array(permissionSchema).nullish(),
});

const SELECT =
  "$select=id,appId,displayName,signInAudience,identifierUris,web,api,requiredResourceAccess,servicePrincipalLockConfiguration";

export const webClientApplication = ({ graph }: { graph: Graph }): Resource<WebClientApplication, WebClientApplicationActual> => {
  const read = ({ organization, uniqueName }: WebClientApplication): Promise<Application | undefined> =>
    graph.find(organization, `${pathOf({ uniqueName })}?${SELECT}`, applicationSchema);

  const principalOf = (organization: string, appId: string): Promise<{ id: string } | undefined> =>
    graph.find(organization, `/servicePrincipals(appId=${literal(appId)})?$select=id`, idSchema);

  const microsoftGraphIn = (organization: string): Promise<z.output<typeof resourceSchema>> =>
    graph.get(
      organization,
      `/servicePrincipals(appId=${literal(MICROSOFT_GRAPH)})?$select=id,appRoles,oauth2PermissionScopes`,
      resourceSchema,
    );

  const assignmentsOf = (organization: string, principalId: string) =>
    graph.list(organization, `/servicePrincipals/${principalId}/appRoleAssignments`, assignmentSchema);

  const grantsOf = async (organization: string, principalId: string, resourceId: string) =>
    (await graph.list(organization, `/oauth2PermissionGrants?$filter=clientId%20eq%20${literal(principalId)}`, grantSchema)).find(
      (grant) => grant.consentType === "AllPrincipals" && grant.resourceId === resourceId,
    );

  async function observed(desired: WebClientApplication): Promise<WebClientApplicationActual | undefined> {
    const { organization } = desired;
    const application = await read(desired);
    if (!application) return undefined;
    const principal = await principalOf(organization, application.appId);
    const granted = { applicationPermissions: [] as string[], delegatedPermissions: [] as string[] };
    if (principal) {
      const resource = await microsoftGraphIn(organization);
      const assignments = await assignmentsOf(organization, principal.id);
      const grant = await grantsOf(organization, principal.id, resource.id);
      granted.applicationPermissions = APPLICATION_PERMISSIONS.filter((permission) =>
        assignments.some(({ resourceId, appRoleId }) => resourceId === resource.id && appRoleId === roleId(resource, permission)),
      );
      granted.delegatedPermissions = DELEGATED_PERMISSIONS.filter((permission) => grant?.scope?.split(" ").includes(permission));
    }
    return {
      appId: application.appId,
      objectId: application.id,
      servicePrincipalId: principal?.id ?? null,
      ...canonical(application, desired),
      servicePrincipal: principal ? "present" : "missing",
      ...granted,
    };
  }

  /** Makes each part true that isn't, in the order in which the later need the earlier; a second run finds what a first one left. */
  async function complete(desired: WebClientApplication): Promise<void> {
    const { organization } = desired;
    const application = await read(desired);
    // Made a moment ago, perhaps on another replica of the directory.
    if (!application) throw settling("the application");
    const uri = `api://${application.appId}`;
    const uris = application.identifierUris ?? [];
    if (!uris.includes(uri)) await graph.patch(organization, pathOf(desired), { identifierUris: [...uris, uri] }, nothing);

    const principal =
      (await principalOf(organization, application.appId)) ?? (await addPrincipal(organization, application.appId));
    const resource = await microsoftGraphIn(organization);
    const assignments = await assignmentsOf(organization, principal.id);
    for (const permission of APPLICATION_PERMISSIONS) {
      const appRoleId = roleId(resource, permission);
      if (assignments.some((assignment) => assignment.resourceId === resource.id && assignment.appRoleId === appRoleId)) continue;
      await graph
        .post(
          organization,
          `/servicePrincipals/${resource.id}/appRoleAssignedTo`,
          { principalId: principal.id, resourceId: resource.id, appRoleId },
          nothing,
        )
        .catch(unlessThere);
    }
    await grant(organization, principal.id, resource.id);
  }

  const addPrincipal = (organization: string, appId: string): Promise<{ id: string }> =>
    graph.post(organization, "/servicePrincipals", { appId }, idSchema).catch(async (error: unknown) => {
      if (codeOf(error) !== "GraphObjectExists") throw error;
      const principal = await principalOf(organization, appId);
      if (!principal) throw settling("the service principal");
      return principal;
    });

  /** Never narrows: what somebody else granted stays. */
  async function grant(organization: string, clientId: string, resourceId: string): Promise<void> {
    const existing = await grantsOf(organization, clientId, resourceId);
    const there = existing?.scope?.split(" ").filter(Boolean) ?? [];
    const missing = DELEGATED_PERMISSIONS.filter((permission) => !there.includes(permission));
    if (missing.length === 0) return;
    const scope = [...there, ...missing].join(" ");
    if (existing) await graph.patch(organization, `/oauth2PermissionGrants/${existing.id}`, { scope }, nothing);
    else
      await graph
        .post(
          organization,
          "/oauth2PermissionGrants",
          { clientId, consentType: "AllPrincipals", principalId: null, resourceId, scope },
          nothing,
        )
        .catch(unlessThere);
  }

  /** PATCH with create-if-missing finds or makes it under its unique name, so that no second one can come into being. */
  const upsert = async (desired: WebClientApplication, existing: Application | undefined): Promise<void> => {
    await graph.patch(desired.organization, pathOf(desired), registration(desired, existing), nothing, {
      Prefer: "create-if-missing",
    });
  };

  return {
    kind: KIND,
    observe: (desired) => observing(() => observed(desired)),
    diff: (desired, actual) => changesBetween(settings(desired), actual),
    async create(desired) {
      await upsert(desired, undefined);
      await complete(desired).catch(notReplicated);
      return done;
    },
    async update(desired, changes) {
      if (changes.some(({ path }) => registered.has(path))) await upsert(desired, await read(desired));
      await complete(desired).catch(notReplicated);
      return done;
    },
    async remove(desired) {
      const application = await read(desired);
      if (!application) return done;
      // Entra keeps it among the deleted items for 30 days; its service principal and grants go with it.
      await graph.delete(desired.organization, `/applications/${application.id}`);
      return done;
    },
  };
};

/** By its unique name a fresh application is found where its id isn't yet. */
const pathOf = ({ uniqueName }: Pick<WebClientApplication, "uniqueName">): string =>
  `/applications(uniqueName=${literal(uniqueName)})`;

/** What one PATCH of the registration sets. */
const registered = new Set<string>([
  "displayName",
  "signInAudience",
  "redirectUris",
  "idTokenIssuance",
  "accessTokenIssuance",
  "requiredPermissions",
  "userImpersonation",
  "locked",
] satisfies (keyof ApplicationSettings)[]);

const settings = ({ displayName, redirectUris }: WebClientApplication): ApplicationSettings => ({
  displayName,
  signInAudience: "AzureADMyOrg",
  redirectUris: [...redirectUris].sort(),
  idTokenIssuance: true,
  accessTokenIssuance: false,
  requiredPermissions: REQUIRED_PERMISSIONS.map(permissionKey).sort(),
  userImpersonation: "exposed",
  identifierUri: "set",
  locked: true,
  servicePrincipal: "present",
  applicationPermissions: APPLICATION_PERMISSIONS,
  delegatedPermissions: DELEGATED_PERMISSIONS,
});

type FromRegistration = Omit<ApplicationSettings, "servicePrincipal" | "applicationPermissions" | "delegatedPermissions">;

const canonical = (application: Application, desired: WebClientApplication): FromRegistration => ({
  displayName: application.displayName ?? "",
  signInAudience: application.signInAudience ?? null,
  redirectUris: [...(application.web?.redirectUris ?? [])].sort(),
  idTokenIssuance: application.web?.implicitGrantSettings?.enableIdTokenIssuance ?? false,
  accessTokenIssuance: application.web?.implicitGrantSettings?.enableAccessTokenIssuance ?? false,
  // What others added stays and isn't ours.
  requiredPermissions: REQUIRED_PERMISSIONS.map(permissionKey)
    .filter((key) => graphAccess(application).map(permissionKey).includes(key))
    .sort(),
  userImpersonation: application.api?.oauth2PermissionScopes?.some(
    ({ id, value, isEnabled }) => id === scopeId(desired) && value === "user_impersonation" && isEnabled,
  )
    ? "exposed"
    : "missing",
  identifierUri: application.identifierUris?.includes(`api://${application.appId}`) ? "set" : "missing",
  locked: Boolean(
    application.servicePrincipalLockConfiguration?.isEnabled && application.servicePrincipalLockConfiguration.allProperties,
  ),
});

function registration(desired: WebClientApplication, existing: Application | undefined): object {
  const others = (existing?.requiredResourceAccess ?? []).filter(({ resourceAppId }) => resourceAppId !== MICROSOFT_GRAPH);
  const ours = REQUIRED_PERMISSIONS.map(permissionKey);
  const otherAccess = existing ? graphAccess(existing).filter((access) => !ours.includes(permissionKey(access))) : [];
  const otherScopes = (existing?.api?.oauth2PermissionScopes ?? []).filter(({ id }) => id !== scopeId(desired));
  return {
    displayName: desired.displayName,
    signInAudience: "AzureADMyOrg",
    web: {
      redirectUris: desired.redirectUris,
      implicitGrantSettings: { enableIdTokenIssuance: true, enableAccessTokenIssuance: false },
    },
    requiredResourceAccess: [
      ...others,
      { resourceAppId: MICROSOFT_GRAPH, resourceAccess: [...REQUIRED_PERMISSIONS, ...otherAccess] },
    ],
    api: { requestedAccessTokenVersion: 2, oauth2PermissionScopes: [...otherScopes, userImpersonation(desired)] },
    servicePrincipalLockConfiguration: { isEnabled: true, allProperties: true },
  };
}

const userImpersonation = (desired: WebClientApplication) => ({
  id: scopeId(desired),
  value: "user_impersonation",
  type: "User",
  isEnabled: true,
  adminConsentDisplayName: `Access ${desired.displayName}`,
  adminConsentDescription: `Allow the application to access ${desired.displayName} on behalf of the signed-in user.`,
  userConsentDisplayName: `Access ${desired.displayName}`,
  userConsentDescription: `Allow the application to access ${desired.displayName} on your behalf.`,
});

const permissionKey = ({ type, id }: { type: string; id: string }): string => `${type}:${id}`;

const graphAccess = ({ requiredResourceAccess }: Application): { id: string; type: string }[] =>
  (requiredResourceAccess ?? [])
    .filter(({ resourceAppId }) => resourceAppId === MICROSOFT_GRAPH)
    .flatMap(({ resourceAccess }) => resourceAccess);

/** Resolved in the tenant itself: a permission that isn't there by that name is an error, never a guess. */
function roleId({ appRoles }: z.output<typeof resourceSchema>, permission: string): string {
  const role = appRoles?.find(({ value }) => value === permission);
  if (!role)
    throw new ControlPlaneError(
      "GraphPermissionUnknown",
      `Microsoft Graph has no application permission ${permission} in this tenant`,
      502,
    );
  return role.id;
}

/** The same for the same tenant, so that a second run finds the first one's scope. */
const scopeId = ({ owner, uniqueName }: WebClientApplication): string =>
  nameBasedUuid("5d6b2c1e-8f0a-4b7e-9a3d-2f4c6e8a0b12", `${owner.partnerId}/${owner.tenantId}/${uniqueName}/user_impersonation`);

/** RFC 9562, version 5. */
function nameBasedUuid(namespace: string, name: string): string {
  const hash = createHash("sha1")
    .update(Buffer.from(namespace.replaceAll("-", ""), "hex"))
    .update(name)
    .digest()
    .subarray(0, 16);
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  return hash.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const codeOf = (error: unknown): string | undefined => (error instanceof ControlPlaneError ? error.code : undefined);

const settling = (what: string, cause?: unknown): ControlPlaneError =>
  new ControlPlaneError(
    "GraphSettling",
    `${what} is not visible everywhere in the directory yet`,
    503,
    true,
    cause === undefined ? {} : { cause },
  );

/** What was just made isn't on every replica at once: it is missing there, or said not to be a valid application object. */
function notReplicated(error: unknown): never {
  const unseen =
    error instanceof ControlPlaneError &&
    /does not reference a valid application object|NoBackingApplicationObject/i.test(error.message);
  if (codeOf(error) === "GraphNotFound" || unseen) throw settling("what was just made", error);
  throw error;
}

function unlessThere(error: unknown): undefined {
  if (codeOf(error) === "GraphObjectExists") return undefined;
  throw error;
}
