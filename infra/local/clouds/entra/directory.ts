/**
 * The directory of every Entra tenant: applications, service principals and what they were granted; Entra issues tokens from it, Graph
 * shows and changes it.
 *
 * Collections: `entra.applications` and `entra.servicePrincipals`, `entra.appRoleAssignments`, `entra.oauth2PermissionGrants`,
 * `entra.directoryRoleAssignments`, each keyed `${tenantId}/${objectId}`, but service principals `${tenantId}/${appId}` (a tenant has at
 * most one of an application). Everything is of one tenant: nothing here finds another tenant's objects, except an application by its
 * appId, as Entra does.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Platform } from "../simulator.ts";
import { firstPartyApplications, type Permission } from "./first-party.ts";

export interface AppRole extends Permission {
  description: string;
  isEnabled: boolean;
  allowedMemberTypes: ("Application" | "User")[];
}

/** A client secret: its text is seen once, in `addPassword`'s answer; here is its hash. */
export interface PasswordCredential {
  keyId: string;
  displayName: string | null;
  /** The first three characters of the secret, as Graph shows them. */
  hint: string;
  startDateTime: string;
  endDateTime: string;
  /** SHA-256 of the text, hexadecimal; never leaves the simulator. */
  hash: string;
}

export interface FederatedIdentityCredential {
  id: string;
  name: string;
  issuer: string;
  subject: string;
  audiences: string[];
}

export interface RequiredResourceAccess {
  resourceAppId: string;
  resourceAccess: { id: string; type: "Role" | "Scope" }[];
}

/** Graph's `application`, v1.0. */
export interface Application {
  /** Object id. */
  id: string;
  appId: string;
  displayName: string;
  uniqueName: string | null;
  createdDateTime: string;
  signInAudience: "AzureADMyOrg" | "AzureADMultipleOrgs";
  identifierUris: string[];
  redirectUris: string[];
  appRoles: AppRole[];
  requiredResourceAccess: RequiredResourceAccess[];
  passwordCredentials: PasswordCredential[];
  federatedIdentityCredentials: FederatedIdentityCredential[];
  /** Object ids of the service principals that own it; Application.ReadWrite.OwnedBy looks here. */
  owners: string[];
  /** Every other property that Graph was given, as it was given: `web` (without its redirectUris), `api`, `info`, `keyCredentials`… */
  properties: Record<string, unknown>;
}

/** Graph's `servicePrincipal`, v1.0. */
export interface ServicePrincipal {
  /** Object id: the token's `oid`. */
  id: string;
  appId: string;
  displayName: string;
  appOwnerOrganizationId: string;
  accountEnabled: boolean;
  /** Whether only clients with an app role of it get a token (AADSTS501051 otherwise). */
  appRoleAssignmentRequired: boolean;
  servicePrincipalType: "Application" | "ManagedIdentity";
  createdDateTime: string;
  owners: string[];
  passwordCredentials: PasswordCredential[];
  properties: Record<string, unknown>;
}

/** An application permission that was granted. */
export interface AppRoleAssignment {
  id: string;
  createdDateTime: string;
  /** Service principal that was granted the role. */
  principalId: string;
  principalDisplayName: string;
  principalType: "ServicePrincipal";
  /** Service principal of the resource. */
  resourceId: string;
  resourceDisplayName: string;
  appRoleId: string;
}

/** Delegated permissions that were granted; scopes apart by spaces. */
export interface OAuth2PermissionGrant {
  id: string;
  clientId: string;
  consentType: "AllPrincipals" | "Principal";
  principalId: string | null;
  resourceId: string;
  scope: string;
}

/** A built-in Entra role, such as Exchange Administrator, that a principal holds in the whole tenant. */
export interface DirectoryRoleAssignment {
  id: string;
  principalId: string;
  roleDefinitionId: string;
  directoryScopeId: "/";
}

export type ApplicationSelector = { id: string } | { appId: string } | { uniqueName: string };
export type ServicePrincipalSelector = { id: string } | { appId: string };
export type NewApplication = Partial<Omit<Application, "id" | "createdDateTime">> & { displayName: string };

export interface Directory {
  applications(tenantId: string): Application[];
  application(tenantId: string, by: ApplicationSelector): Application | undefined;
  /** An application wherever it is registered, with its home tenant: its own tenant and, when it is multi-tenant, every tenant can use it. */
  registeredApplication(appId: string): { tenantId: string; application: Application } | undefined;
  addApplication(tenantId: string, application: NewApplication): Application;
  replaceApplication(tenantId: string, application: Application): void;
  /** Its service principal in the tenant goes with it, as in Entra. */
  deleteApplication(tenantId: string, id: string): boolean;
  /** Makes a secret of an application; `secretText` is not kept. Default end: two years, Graph's default. */
  addPassword(
    tenantId: string,
    applicationObjectId: string,
    options: { displayName?: string | null; startDateTime?: string; endDateTime?: string; secretText?: string },
  ): { credential: PasswordCredential; secretText: string } | undefined;
  deletePassword(tenantId: string, applicationObjectId: string, keyId: string): boolean;

  servicePrincipals(tenantId: string): ServicePrincipal[];
  servicePrincipal(tenantId: string, by: ServicePrincipalSelector): ServicePrincipal | undefined;
  /**
   * The service principal of an application in a tenant, made when there is none. Undefined when the tenant doesn't exist or the
   * application doesn't, or is another tenant's and not multi-tenant.
   */
  ensureServicePrincipal(tenantId: string, appId: string): ServicePrincipal | undefined;
  replaceServicePrincipal(tenantId: string, servicePrincipal: ServicePrincipal): void;
  /** Its assignments and grants go with it. */
  deleteServicePrincipal(tenantId: string, id: string): boolean;
  /** App roles and scopes that a service principal offers, from its application. */
  offers(tenantId: string, servicePrincipal: ServicePrincipal): { appRoles: AppRole[]; oauth2PermissionScopes: Permission[] };
  /** Name, app roles and scopes of an application, ours or Microsoft's, whether or not it is in a tenant. */
  describe(appId: string): { displayName: string; appRoles: AppRole[]; oauth2PermissionScopes: Permission[] } | undefined;

  appRoleAssignments(tenantId: string): AppRoleAssignment[];
  /** The assignment, made when there is none; `created` tells which. Undefined when a principal, the resource or the role isn't there. */
  ensureAppRoleAssignment(
    tenantId: string,
    assignment: { principalId: string; resourceId: string; appRoleId: string },
  ): { assignment: AppRoleAssignment; created: boolean } | undefined;
  deleteAppRoleAssignment(tenantId: string, id: string): boolean;
  /** Values of the app roles of a resource that a service principal holds: the token's `roles`. */
  rolesOf(tenantId: string, principalId: string, resourceAppId: string): string[];

  oauth2PermissionGrants(tenantId: string): OAuth2PermissionGrant[];
  replaceOAuth2PermissionGrant(tenantId: string, grant: OAuth2PermissionGrant): void;
  deleteOAuth2PermissionGrant(tenantId: string, id: string): boolean;

  directoryRoleAssignments(tenantId: string): DirectoryRoleAssignment[];
  ensureDirectoryRole(tenantId: string, principalId: string, roleDefinitionId: string): DirectoryRoleAssignment;
  deleteDirectoryRole(tenantId: string, id: string): boolean;
  holdsDirectoryRole(tenantId: string, principalId: string, roleDefinitionId: string): boolean;
}

/** Cheap: it keeps nothing itself, so each simulator may create its own over the same platform. */
export function createDirectory(platform: Pick<Platform, "collection" | "organizations" | "now" | "secrets">): Directory {
  const applications = platform.collection<Application>("entra.applications");
  const servicePrincipals = platform.collection<ServicePrincipal>("entra.servicePrincipals");
  const appRoleAssignments = platform.collection<AppRoleAssignment>("entra.appRoleAssignments");
  const grants = platform.collection<OAuth2PermissionGrant>("entra.oauth2PermissionGrants");
  const directoryRoles = platform.collection<DirectoryRoleAssignment>("entra.directoryRoleAssignments");
  const now = (): string => new Date(platform.now()).toISOString();
  const ofTenant = <T>(collection: { entries(): [string, T][] }, tenantId: string): T[] =>
    collection
      .entries()
      .filter(([key]) => key.startsWith(`${tenantId}/`))
      .map(([, value]) => value);

  const directory: Directory = {
    applications: (tenantId) => ofTenant(applications, tenantId),
    application: (tenantId, by) => {
      if ("id" in by) return applications.get(`${tenantId}/${by.id}`);
      return directory
        .applications(tenantId)
        .find((one) => ("appId" in by ? one.appId === by.appId : one.uniqueName === by.uniqueName));
    },
    registeredApplication: (appId) => {
      const found = applications.entries().find(([, application]) => application.appId === appId);
      return found && { tenantId: tenantOf(found[0]), application: found[1] };
    },
    addApplication: (tenantId, given) => {
      const application: Application = {
        appId: randomUUID(),
        uniqueName: null,
        signInAudience: "AzureADMyOrg",
        identifierUris: [],
        redirectUris: [],
        appRoles: [],
        requiredResourceAccess: [],
        passwordCredentials: [],
        federatedIdentityCredentials: [],
        owners: [],
        properties: {},
        ...given,
        id: randomUUID(),
        createdDateTime: now(),
      };
      directory.replaceApplication(tenantId, application);
      return application;
    },
    replaceApplication: (tenantId, application) => applications.set(`${tenantId}/${application.id}`, application),
    deleteApplication: (tenantId, id) => {
      const application = applications.get(`${tenantId}/${id}`);
      if (!application) return false;
      const principal = directory.servicePrincipal(tenantId, { appId: application.appId });
      if (principal) directory.deleteServicePrincipal(tenantId, principal.id);
      return applications.delete(`${tenantId}/${id}`);
    },
    addPassword: (tenantId, id, { displayName = null, startDateTime = now(), endDateTime, secretText = newSecret() }) => {
      const application = applications.get(`${tenantId}/${id}`);
      if (!application) return undefined;
      platform.secrets.add(secretText);
      const credential: PasswordCredential = {
        keyId: randomUUID(),
        displayName,
        hint: secretText.slice(0, 3),
        startDateTime,
        endDateTime: endDateTime ?? twoYearsAfter(startDateTime),
        hash: hashOf(secretText),
      };
      directory.replaceApplication(tenantId, {
        ...application,
        passwordCredentials: [...application.passwordCredentials, credential],
      });
      return { credential, secretText };
    },
    deletePassword: (tenantId, id, keyId) => {
      const application = applications.get(`${tenantId}/${id}`);
      const passwordCredentials = application?.passwordCredentials.filter((credential) => credential.keyId !== keyId);
      if (!application || passwordCredentials?.length === application.passwordCredentials.length) return false;
      directory.replaceApplication(tenantId, { ...application, passwordCredentials: passwordCredentials ?? [] });
      return true;
    },

    servicePrincipals: (tenantId) => ofTenant(servicePrincipals, tenantId),
    servicePrincipal: (tenantId, by) =>
      "appId" in by
        ? servicePrincipals.get(`${tenantId}/${by.appId}`)
        : directory.servicePrincipals(tenantId).find(({ id }) => id === by.id),
    ensureServicePrincipal: (tenantId, appId) => {
      const known = directory.servicePrincipal(tenantId, { appId });
      if (known) return known;
      const origin = originOf(tenantId, appId);
      if (!origin || !platform.organizations.get(tenantId)) return undefined;
      const made: ServicePrincipal = {
        id: randomUUID(),
        appId,
        displayName: origin.displayName,
        appOwnerOrganizationId: origin.tenantId,
        accountEnabled: true,
        appRoleAssignmentRequired: false,
        servicePrincipalType: "Application",
        createdDateTime: now(),
        owners: [],
        passwordCredentials: [],
        properties: {},
      };
      directory.replaceServicePrincipal(tenantId, made);
      return made;
    },
    replaceServicePrincipal: (tenantId, servicePrincipal) =>
      servicePrincipals.set(`${tenantId}/${servicePrincipal.appId}`, servicePrincipal),
    deleteServicePrincipal: (tenantId, id) => {
      const principal = directory.servicePrincipal(tenantId, { id });
      if (!principal) return false;
      for (const one of directory.appRoleAssignments(tenantId)) {
        if (one.principalId === id || one.resourceId === id) directory.deleteAppRoleAssignment(tenantId, one.id);
      }
      for (const one of directory.oauth2PermissionGrants(tenantId)) {
        if (one.clientId === id || one.resourceId === id) directory.deleteOAuth2PermissionGrant(tenantId, one.id);
      }
      for (const one of directory.directoryRoleAssignments(tenantId)) {
        if (one.principalId === id) directory.deleteDirectoryRole(tenantId, one.id);
      }
      return servicePrincipals.delete(`${tenantId}/${principal.appId}`);
    },
    offers: (_tenantId, { appId }) => directory.describe(appId) ?? { appRoles: [], oauth2PermissionScopes: [] },
    describe: (appId) => {
      const firstParty = firstPartyApplications.find((one) => one.appId === appId);
      if (firstParty) {
        const { displayName, appRoles, oauth2PermissionScopes } = firstParty;
        return { displayName, appRoles: appRoles.map(applicationRole), oauth2PermissionScopes };
      }
      const application = directory.registeredApplication(appId)?.application;
      return (
        application && {
          displayName: application.displayName,
          appRoles: application.appRoles,
          oauth2PermissionScopes: scopesOf(application),
        }
      );
    },

    appRoleAssignments: (tenantId) => ofTenant(appRoleAssignments, tenantId),
    ensureAppRoleAssignment: (tenantId, { principalId, resourceId, appRoleId }) => {
      const known = directory
        .appRoleAssignments(tenantId)
        .find((one) => one.principalId === principalId && one.resourceId === resourceId && one.appRoleId === appRoleId);
      if (known) return { assignment: known, created: false };
      const principal = directory.servicePrincipal(tenantId, { id: principalId });
      const resource = directory.servicePrincipal(tenantId, { id: resourceId });
      if (!principal || !resource) return undefined;
      if (!directory.describe(resource.appId)?.appRoles.some(({ id }) => id === appRoleId)) return undefined;
      const assignment: AppRoleAssignment = {
        id: randomBytes(32).toString("base64url"),
        createdDateTime: now(),
        principalId,
        principalDisplayName: principal.displayName,
        principalType: "ServicePrincipal",
        resourceId,
        resourceDisplayName: resource.displayName,
        appRoleId,
      };
      appRoleAssignments.set(`${tenantId}/${assignment.id}`, assignment);
      return { assignment, created: true };
    },
    deleteAppRoleAssignment: (tenantId, id) => appRoleAssignments.delete(`${tenantId}/${id}`),
    rolesOf: (tenantId, principalId, resourceAppId) => {
      const resource = directory.servicePrincipal(tenantId, { appId: resourceAppId });
      if (!resource) return [];
      const offered = new Map(directory.describe(resourceAppId)?.appRoles.map(({ id, value }) => [id, value]));
      return directory
        .appRoleAssignments(tenantId)
        .filter((one) => one.principalId === principalId && one.resourceId === resource.id)
        .flatMap(({ appRoleId }) => offered.get(appRoleId) ?? []);
    },

    oauth2PermissionGrants: (tenantId) => ofTenant(grants, tenantId),
    replaceOAuth2PermissionGrant: (tenantId, grant) => grants.set(`${tenantId}/${grant.id}`, grant),
    deleteOAuth2PermissionGrant: (tenantId, id) => grants.delete(`${tenantId}/${id}`),

    directoryRoleAssignments: (tenantId) => ofTenant(directoryRoles, tenantId),
    ensureDirectoryRole: (tenantId, principalId, roleDefinitionId) => {
      const known = directory
        .directoryRoleAssignments(tenantId)
        .find((one) => one.principalId === principalId && one.roleDefinitionId === roleDefinitionId);
      if (known) return known;
      const made: DirectoryRoleAssignment = { id: randomUUID(), principalId, roleDefinitionId, directoryScopeId: "/" };
      directoryRoles.set(`${tenantId}/${made.id}`, made);
      return made;
    },
    deleteDirectoryRole: (tenantId, id) => directoryRoles.delete(`${tenantId}/${id}`),
    holdsDirectoryRole: (tenantId, principalId, roleDefinitionId) =>
      directory
        .directoryRoleAssignments(tenantId)
        .some((one) => one.principalId === principalId && one.roleDefinitionId === roleDefinitionId),
  };

  /** Where a service principal in this tenant can come from: Microsoft, the tenant itself, or a multi-tenant application. */
  function originOf(tenantId: string, appId: string): { tenantId: string; displayName: string } | undefined {
    const firstParty = firstPartyApplications.find((one) => one.appId === appId);
    if (firstParty) return { tenantId: microsoftServices, displayName: firstParty.displayName };
    const registered = directory.registeredApplication(appId);
    if (!registered) return undefined;
    if (registered.tenantId !== tenantId && registered.application.signInAudience === "AzureADMyOrg") return undefined;
    return { tenantId: registered.tenantId, displayName: registered.application.displayName };
  }

  return directory;
}

/** Microsoft's own tenant, the owner organisation of its applications. */
const microsoftServices = "f8cdef31-a31e-4b4a-93e4-5f571e91255a";

export const applicationRole = (permission: Permission): AppRole => ({
  ...permission,
  description: permission.displayName,
  isEnabled: true,
  allowedMemberTypes: ["Application"],
});

export const hashOf = (secretText: string): string => createHash("sha256").update(secretText).digest("hex");

const tenantOf = (key: string): string => key.slice(0, key.indexOf("/"));
/** 40 characters with the `8Q~` that Entra's secrets carry in the middle, so that secret scanners know them. */
const newSecret = (): string =>
  `${randomBytes(2).toString("hex").slice(0, 3)}8Q~${randomBytes(26).toString("base64url").slice(0, 34)}`;
const twoYearsAfter = (start: string): string => {
  const end = new Date(start);
  end.setUTCFullYear(end.getUTCFullYear() + 2);
  return end.toISOString();
};

function scopesOf(application: Application): Permission[] {
  const api = application.properties["api"];
  if (typeof api !== "object" || api === null || !("oauth2PermissionScopes" in api) || !Array.isArray(api.oauth2PermissionScopes))
    return [];
  return api.oauth2PermissionScopes.flatMap((scope: unknown) => {
    if (typeof scope !== "object" || scope === null || !("id" in scope) || !("value" in scope)) return [];
    return [
      {
        id: String(scope.id),
        value: String(scope.value),
        displayName: "adminConsentDisplayName" in scope ? String(scope.adminConsentDisplayName) : "",
      },
    ];
  });
}
