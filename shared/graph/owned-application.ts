/**
 * An application of ours in a customer's Entra tenant, with the service principal and the grants that an administrator's consent would give:
 * found by its unique name, so that no second one can come into being. Permissions are resolved in the tenant itself, by their names.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { observing } from "../resources/observing.ts";
import { changesBetween } from "../resources/property-changes.ts";
import { done, type Owner, type Resource } from "../resources/resource.ts";
import { type Graph, literal, nothing } from "./client.ts";

export const MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000";
export const EXCHANGE_ONLINE = "00000002-0000-0ff1-ce00-000000000000";
/** The one scope that an application of ours exposes. */
export const USER_IMPERSONATION = "user_impersonation";

export interface OwnedApplication {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Immutable and ours: what the application is found by. */
  uniqueName: string;
  displayName: string;
}

/** What a kind of application is beside its names. */
export interface ApplicationDefinition {
  /** Where people are sent back to after they signed in; not ours where it is left out. */
  redirectUris?: string[];
  idTokens: boolean;
  /** Keeps no secret: signs in people from a device. */
  publicClient: boolean;
  /** Others act in it for people, by the scope `user_impersonation` under `api://<client id>`. */
  exposed: boolean;
  permissions: ApplicationPermissions;
}

/** Of one API. What others asked for or granted beside it stays. */
export interface ApplicationPermissions {
  /** Application id of the API. */
  api: string;
  /** An application of ours, which the directory's replicas learn of one after another. */
  ours?: boolean;
  application: string[];
  delegated: string[];
  /** Application permissions that must not be granted, since they would undo a narrower access. */
  withheld?: string[];
}

export interface ApplicationActual extends ApplicationSettings {
  /** Client id. */
  appId: string;
  objectId: string;
  servicePrincipalId: string | null;
}

interface ApplicationSettings {
  displayName: string;
  signInAudience: string | null;
  redirectUris?: string[];
  idTokenIssuance: boolean;
  accessTokenIssuance: boolean;
  publicClient: boolean;
  /** What the registration asks for of the API, `type:name`. */
  requiredPermissions: string[];
  userImpersonation?: "exposed" | "missing";
  identifierUri?: "set" | "missing";
  /** Nobody adds credentials to the service principal in the tenant. */
  locked: boolean;
  servicePrincipal: "present" | "missing";
  /** Granted: app roles and delegated permissions of the API. */
  applicationPermissions: string[];
  delegatedPermissions: string[];
}

const permissionSchema = z.looseObject({ id: z.string(), value: z.string().nullish() });
const scopeSchema = z.looseObject({ id: z.string(), value: z.string().nullish(), isEnabled: z.boolean().nullish() });
const applicationSchema = z.looseObject({
  id: z.string(),
  appId: z.string(),
  displayName: z.string().nullish(),
  signInAudience: z.string().nullish(),
  identifierUris: z.array(z.string()).nullish(),
  isFallbackPublicClient: z.boolean().nullish(),
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
const apiSchema = z.looseObject({
  id: z.string(),
  appRoles: z.array(permissionSchema).nullish(),
  oauth2PermissionScopes: z.array(permissionSchema).nullish(),
});

/** The API as the tenant has it: its service principal, and the ids of the permissions that we name. */
interface Api {
  id: string;
  roles: Named[];
  scopes: Named[];
  withheld: Named[];
}
interface Named {
  id: string;
  name: string;
}

const SELECT =
  "$select=id,appId,displayName,signInAudience,identifierUris,isFallbackPublicClient,web,api,requiredResourceAccess,servicePrincipalLockConfiguration";

export const ownedApplication = <Desired extends OwnedApplication>(
  graph: Graph,
  kind: string,
  definitionOf: (desired: Desired) => ApplicationDefinition,
): Resource<Desired, ApplicationActual> => {
  const read = ({ organization, uniqueName }: Desired): Promise<Application | undefined> =>
    graph.find(organization, `${pathOf({ uniqueName })}?${SELECT}`, applicationSchema);

  const principalOf = (organization: string, appId: string): Promise<{ id: string } | undefined> =>
    graph.find(organization, `/servicePrincipals(appId=${literal(appId)})?$select=id`, idSchema);

  async function apiOf(desired: Desired): Promise<Api> {
    const { permissions } = definitionOf(desired);
    const path = `/servicePrincipals(appId=${literal(permissions.api)})?$select=id,appRoles,oauth2PermissionScopes`;
    const found = await graph.find(desired.organization, path, apiSchema);
    if (!found) throw missing(`the API ${permissions.api}`, true);
    const named = (offered: z.output<typeof permissionSchema>[] | null | undefined, names: string[]): Named[] =>
      names.map((name) => {
        const id = offered?.find(({ value }) => value === name)?.id;
        if (id === undefined) throw missing(`the permission ${name} of the API ${permissions.api}`, permissions.ours === true);
        return { id, name };
      });
    return {
      id: found.id,
      roles: named(found.appRoles, permissions.application),
      scopes: named(found.oauth2PermissionScopes, permissions.delegated),
      withheld: named(found.appRoles, permissions.withheld ?? []),
    };
  }

  const assignmentsOf = (organization: string, principalId: string) =>
    graph.list(organization, `/servicePrincipals/${principalId}/appRoleAssignments`, assignmentSchema);

  const grantOf = async (organization: string, principalId: string, resourceId: string) =>
    (await graph.list(organization, `/oauth2PermissionGrants?$filter=clientId%20eq%20${literal(principalId)}`, grantSchema)).find(
      (grant) => grant.consentType === "AllPrincipals" && grant.resourceId === resourceId,
    );

  async function observed(desired: Desired): Promise<ApplicationActual | undefined> {
    const { organization } = desired;
    const application = await read(desired);
    if (!application) return undefined;
    const api = await apiOf(desired);
    const principal = await principalOf(organization, application.appId);
    const granted = { applicationPermissions: [] as string[], delegatedPermissions: [] as string[] };
    if (principal) {
      const assignments = await assignmentsOf(organization, principal.id);
      const grant = await grantOf(organization, principal.id, api.id);
      granted.applicationPermissions = namesOf(
        [...api.roles, ...api.withheld].filter(({ id }) =>
          assignments.some(({ resourceId, appRoleId }) => resourceId === api.id && appRoleId === id),
        ),
      );
      granted.delegatedPermissions = namesOf(api.scopes.filter(({ name }) => scopesIn(grant).includes(name)));
    }
    return {
      appId: application.appId,
      objectId: application.id,
      servicePrincipalId: principal?.id ?? null,
      ...canonical(application, desired, definitionOf(desired), api),
      servicePrincipal: principal ? "present" : "missing",
      ...granted,
    };
  }

  /** Makes each part true that isn't, in the order in which the later need the earlier; a second run finds what a first one left. */
  async function complete(desired: Desired, api: Api): Promise<void> {
    const { organization } = desired;
    const application = await read(desired);
    // Made a moment ago, perhaps on another replica of the directory.
    if (!application) throw settling("the application");
    const uri = uriOf(application);
    const uris = application.identifierUris ?? [];
    if (definitionOf(desired).exposed && !uris.includes(uri))
      await graph.patch(organization, pathOf(desired), { identifierUris: [...uris, uri] }, nothing);

    const principal =
      (await principalOf(organization, application.appId)) ?? (await addPrincipal(organization, application.appId));
    const assignments = (await assignmentsOf(organization, principal.id)).filter(({ resourceId }) => resourceId === api.id);
    for (const { id: appRoleId } of api.roles) {
      if (assignments.some((assignment) => assignment.appRoleId === appRoleId)) continue;
      await graph
        .post(
          organization,
          `/servicePrincipals/${api.id}/appRoleAssignedTo`,
          { principalId: principal.id, resourceId: api.id, appRoleId },
          nothing,
        )
        .catch(unlessThere);
    }
    for (const { id, appRoleId } of assignments)
      if (api.withheld.some((withheld) => withheld.id === appRoleId))
        await graph.delete(organization, `/servicePrincipals/${principal.id}/appRoleAssignments/${id}`);
    if (api.scopes.length > 0) await grant(organization, principal.id, api);
  }

  const addPrincipal = (organization: string, appId: string): Promise<{ id: string }> =>
    graph.post(organization, "/servicePrincipals", { appId }, idSchema).catch(async (error: unknown) => {
      if (codeOf(error) !== "GraphObjectExists") throw error;
      const principal = await principalOf(organization, appId);
      if (!principal) throw settling("the service principal");
      return principal;
    });

  /** Never narrows: what somebody else granted stays. */
  async function grant(organization: string, clientId: string, { id: resourceId, scopes }: Api): Promise<void> {
    const existing = await grantOf(organization, clientId, resourceId);
    const there = scopesIn(existing);
    const lacking = namesOf(scopes).filter((permission) => !there.includes(permission));
    if (lacking.length === 0) return;
    const scope = [...there, ...lacking].join(" ");
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

  /** PATCH with create-if-missing finds or makes it under its unique name. */
  const upsert = async (desired: Desired, api: Api, existing: Application | undefined): Promise<void> => {
    const body = registration(desired, definitionOf(desired), api, existing);
    await graph.patch(desired.organization, pathOf(desired), body, nothing, { Prefer: "create-if-missing" });
  };

  return {
    kind,
    observe: (desired) => observing(() => observed(desired)),
    diff: (desired, actual) => changesBetween(settings(desired, definitionOf(desired)), actual),
    async create(desired) {
      const api = await apiOf(desired);
      await upsert(desired, api, undefined);
      await complete(desired, api).catch(notReplicated);
      return done;
    },
    async update(desired, changes) {
      const api = await apiOf(desired);
      if (changes.some(({ path }) => registered.has(path))) await upsert(desired, api, await read(desired));
      await complete(desired, api).catch(notReplicated);
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
const pathOf = ({ uniqueName }: Pick<OwnedApplication, "uniqueName">): string =>
  `/applications(uniqueName=${literal(uniqueName)})`;

const uriOf = ({ appId }: Application): string => `api://${appId}`;
const namesOf = (permissions: Named[]): string[] => permissions.map(({ name }) => name);
const scopesIn = (grant: z.output<typeof grantSchema> | undefined): string[] => grant?.scope?.split(" ").filter(Boolean) ?? [];

/** What one PATCH of the registration sets. */
const registered = new Set<string>([
  "displayName",
  "signInAudience",
  "redirectUris",
  "idTokenIssuance",
  "accessTokenIssuance",
  "publicClient",
  "requiredPermissions",
  "userImpersonation",
  "locked",
] satisfies (keyof ApplicationSettings)[]);

const settings = (
  { displayName }: OwnedApplication,
  { redirectUris, idTokens, publicClient, exposed, permissions }: ApplicationDefinition,
): ApplicationSettings => ({
  displayName,
  signInAudience: "AzureADMyOrg",
  ...(redirectUris && { redirectUris: [...redirectUris].sort() }),
  idTokenIssuance: idTokens,
  accessTokenIssuance: false,
  publicClient,
  requiredPermissions: [
    ...permissions.application.map((name) => `Role:${name}`),
    ...permissions.delegated.map((name) => `Scope:${name}`),
  ].sort(),
  ...(exposed && { userImpersonation: "exposed", identifierUri: "set" }),
  locked: true,
  servicePrincipal: "present",
  applicationPermissions: permissions.application,
  delegatedPermissions: permissions.delegated,
});

type FromRegistration = Omit<ApplicationSettings, "servicePrincipal" | "applicationPermissions" | "delegatedPermissions">;

/** Those of the API that we name; what others added isn't ours. */
const requirements = ({ roles, scopes, withheld }: Api): { id: string; type: string; name: string }[] => [
  ...[...roles, ...withheld].map((role) => ({ ...role, type: "Role" })),
  ...scopes.map((scope) => ({ ...scope, type: "Scope" })),
];

const canonical = (
  application: Application,
  desired: OwnedApplication,
  { redirectUris, exposed, permissions }: ApplicationDefinition,
  api: Api,
): FromRegistration => ({
  displayName: application.displayName ?? "",
  signInAudience: application.signInAudience ?? null,
  ...(redirectUris && { redirectUris: [...(application.web?.redirectUris ?? [])].sort() }),
  idTokenIssuance: application.web?.implicitGrantSettings?.enableIdTokenIssuance ?? false,
  accessTokenIssuance: application.web?.implicitGrantSettings?.enableAccessTokenIssuance ?? false,
  publicClient: application.isFallbackPublicClient ?? false,
  requiredPermissions: requirements(api)
    .filter((wanted) => accessTo(permissions.api, application).some((access) => same(access, wanted)))
    .map(({ type, name }) => `${type}:${name}`)
    .sort(),
  ...(exposed && {
    userImpersonation: application.api?.oauth2PermissionScopes?.some(
      ({ id, value, isEnabled }) => id === scopeId(desired) && value === USER_IMPERSONATION && isEnabled,
    )
      ? "exposed"
      : "missing",
    identifierUri: application.identifierUris?.includes(uriOf(application)) ? "set" : "missing",
  }),
  locked: Boolean(
    application.servicePrincipalLockConfiguration?.isEnabled && application.servicePrincipalLockConfiguration.allProperties,
  ),
});

function registration(
  desired: OwnedApplication,
  { redirectUris, idTokens, publicClient, exposed, permissions }: ApplicationDefinition,
  api: Api,
  existing: Application | undefined,
): object {
  const others = (existing?.requiredResourceAccess ?? []).filter(({ resourceAppId }) => resourceAppId !== permissions.api);
  const theirs = accessTo(permissions.api, existing).filter((access) => !requirements(api).some((one) => same(one, access)));
  const ours = requirements({ ...api, withheld: [] }).map(({ id, type }) => ({ id, type }));
  const access = [...ours, ...theirs];
  const otherScopes = (existing?.api?.oauth2PermissionScopes ?? []).filter(({ id }) => id !== scopeId(desired));
  return {
    displayName: desired.displayName,
    signInAudience: "AzureADMyOrg",
    isFallbackPublicClient: publicClient,
    web: {
      ...(redirectUris && { redirectUris }),
      implicitGrantSettings: { enableIdTokenIssuance: idTokens, enableAccessTokenIssuance: false },
    },
    requiredResourceAccess: [
      ...others,
      ...(access.length > 0 ? [{ resourceAppId: permissions.api, resourceAccess: access }] : []),
    ],
    ...(exposed && {
      api: { requestedAccessTokenVersion: 2, oauth2PermissionScopes: [...otherScopes, userImpersonation(desired)] },
    }),
    servicePrincipalLockConfiguration: { isEnabled: true, allProperties: true },
  };
}

const userImpersonation = (desired: OwnedApplication) => ({
  id: scopeId(desired),
  value: USER_IMPERSONATION,
  type: "User",
  isEnabled: true,
  adminConsentDisplayName: `Access ${desired.displayName}`,
  adminConsentDescription: `Allow the application to access ${desired.displayName} on behalf of the signed-in user.`,
  userConsentDisplayName: `Access ${desired.displayName}`,
  userConsentDescription: `Allow the application to access ${desired.displayName} on your behalf.`,
});

const same = (one: { id: string; type: string }, other: { id: string; type: string }): boolean =>
  one.id === other.id && one.type === other.type;

const accessTo = (api: string, application: Application | undefined): { id: string; type: string }[] =>
  (application?.requiredResourceAccess ?? [])
    .filter(({ resourceAppId }) => resourceAppId === api)
    .flatMap(({ resourceAccess }) => resourceAccess);

/** A permission that isn't there by that name is an error, never a guess. */
const missing = (what: string, transient: boolean): ControlPlaneError =>
  new ControlPlaneError("GraphPermissionUnknown", `this tenant's directory does not have ${what}`, 502, transient);

/** The same for the same tenant, so that a second run finds the first one's scope. */
const scopeId = ({ owner, uniqueName }: OwnedApplication): string =>
  nameBasedUuid(
    "5d6b2c1e-8f0a-4b7e-9a3d-2f4c6e8a0b12",
    `${owner.partnerId}/${owner.tenantId}/${uniqueName}/${USER_IMPERSONATION}`,
  );

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
