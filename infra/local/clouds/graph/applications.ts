/**
 * `/applications` (Graph v1.0): create-if-missing by uniqueName, secrets, and the rule that a fresh one isn't everywhere at once.
 *
 * Sources: "Upsert application", "application: addPassword" and "Update application" in Microsoft's Graph reference (research chapter 3).
 */
import type { Application, PasswordCredential } from "../entra/directory.ts";
import { badRequest, GraphFailure, requestDenied, resourceNotFound } from "./answers.ts";
import { filtered, paged, selected } from "./query.ts";
import { bodyOf, type GraphRequest, KEY, type Key, keyOf, may, optionalText, record, type Route } from "./route.ts";

const ALL = "Application.ReadWrite.All";
const OWNED = "Application.ReadWrite.OwnedBy";
const write = [ALL, OWNED];
const read = [...write, "Application.Read.All", "Directory.Read.All"];
/** Replication between directory replicas: until then a read by object id finds nothing. */
const REPLICATION_IN_MILLISECONDS = 3000;
const PAGE_SIZE = 100;

/** Properties of `application` in Graph v1.0's metadata that can be written. */
const settable = new Set([
  "addIns",
  "api",
  "appRoles",
  "authenticationBehaviors",
  "defaultRedirectUri",
  "description",
  "displayName",
  "groupMembershipClaims",
  "identifierUris",
  "info",
  "isDeviceOnlyAuthSupported",
  "isFallbackPublicClient",
  "keyCredentials",
  "notes",
  "oauth2RequirePostResponse",
  "optionalClaims",
  "parentalControlSettings",
  "publicClient",
  "requestSignatureVerification",
  "requiredResourceAccess",
  "samlMetadataUrl",
  "serviceManagementReference",
  "servicePrincipalLockConfiguration",
  "signInAudience",
  "spa",
  "tags",
  "tokenEncryptionKeyId",
  "uniqueName",
  "web",
]);

export const applicationRoutes: Route[] = [
  {
    method: "GET",
    pattern: /^\/applications$/,
    permissions: read,
    run: (graph) => {
      const { url } = graph.request;
      const all = graph.directory
        .applications(graph.tenantId)
        .filter((application) => mine(graph, application) || may(graph, ...read.filter((one) => one !== OWNED)));
      const { page, nextLink } = paged(filtered(all.map(shown), url), url, PAGE_SIZE);
      return {
        status: 200,
        body: {
          "@odata.context": graph.context("applications"),
          ...(nextLink === undefined ? {} : { "@odata.nextLink": nextLink }),
          value: page.map((application) => selected(application, url)),
        },
      };
    },
  },
  { method: "POST", pattern: /^\/applications$/, permissions: write, run: (graph) => created(graph, bodyOf(graph)) },
  {
    method: "GET",
    pattern: new RegExp(`^/applications${KEY}$`),
    permissions: read,
    run: (graph) => {
      const application = readable(graph, keyOf(graph.parts));
      return {
        status: 200,
        body: { "@odata.context": graph.context("applications/$entity"), ...selected(shown(application), graph.request.url) },
      };
    },
  },
  {
    method: "PATCH",
    pattern: new RegExp(`^/applications${KEY}$`),
    permissions: write,
    run: (graph) => {
      const key = keyOf(graph.parts);
      const body = bodyOf(graph);
      const application = find(graph, key);
      if (!application) {
        const missing = /create-if-missing/i.test(graph.request.headers["prefer"] ?? "");
        if (!missing || key.name !== "uniqueName") throw resourceNotFound(key.value);
        return created(graph, { ...body, uniqueName: key.value });
      }
      requireOwner(graph, application);
      graph.directory.replaceApplication(graph.tenantId, changed(application, body));
      return { status: 204, effect: "write" };
    },
  },
  {
    method: "DELETE",
    pattern: new RegExp(`^/applications${KEY}$`),
    permissions: write,
    run: (graph) => {
      const application = writable(graph, keyOf(graph.parts));
      graph.directory.deleteApplication(graph.tenantId, application.id);
      return { status: 204, effect: "write" };
    },
  },
  {
    method: "POST",
    pattern: new RegExp(`^/applications${KEY}/(?:microsoft\\.graph\\.)?addPassword$`),
    permissions: write,
    run: (graph) => {
      const application = writable(graph, keyOf(graph.parts));
      const given = record(bodyOf(graph)["passwordCredential"]) ?? {};
      const [startDateTime, endDateTime] = [optionalText(given["startDateTime"]), optionalText(given["endDateTime"])];
      for (const time of [startDateTime, endDateTime])
        if (time !== undefined && Number.isNaN(Date.parse(time))) throw badRequest("Credential lifetime is invalid.");
      requireAllowedSecret(graph, endDateTime);
      const added = graph.directory.addPassword(graph.tenantId, application.id, {
        displayName: optionalText(given["displayName"]) ?? null,
        ...(startDateTime === undefined ? {} : { startDateTime }),
        ...(endDateTime === undefined ? {} : { endDateTime }),
      });
      if (!added) throw resourceNotFound(application.id);
      return {
        status: 200,
        effect: "write",
        body: {
          "@odata.context": graph.context("microsoft.graph.passwordCredential"),
          ...credential(added.credential),
          secretText: added.secretText,
        },
      };
    },
  },
  {
    method: "POST",
    pattern: new RegExp(`^/applications${KEY}/(?:microsoft\\.graph\\.)?removePassword$`),
    permissions: write,
    run: (graph) => {
      const application = writable(graph, keyOf(graph.parts));
      const keyId = optionalText(bodyOf(graph)["keyId"]) ?? "";
      if (!graph.directory.deletePassword(graph.tenantId, application.id, keyId))
        throw badRequest(`No password credential found with keyId ${keyId}.`);
      return { status: 204, effect: "write" };
    },
  },
];

/** "Microsoft Entra application management policies": a tenant may forbid secrets, or those that live too long. */
function requireAllowedSecret({ organization, platform }: GraphRequest, endDateTime: string | undefined): void {
  const { forbidden, longestLifetimeInDays } = organization.clientSecrets ?? {};
  if (forbidden)
    throw badRequest("Credential type not allowed as per assigned policy.", "CredentialTypeNotAllowedAsPerAppPolicy");
  if (longestLifetimeInDays === undefined) return;
  const latest = platform.now() + longestLifetimeInDays * 86_400_000;
  if (endDateTime === undefined || Date.parse(endDateTime) > latest)
    throw badRequest(
      "Credential lifetime exceeds the max value allowed as per assigned policy.",
      "CredentialInvalidLifetimeAsPerAppPolicy",
    );
}

function created(
  graph: GraphRequest,
  body: Record<string, unknown>,
): { status: number; effect: "write"; body: unknown; headers: Record<string, string> } {
  const { directory, tenantId, claims, platform } = graph;
  const displayName = optionalText(body["displayName"]);
  if (displayName === undefined) throw badRequest("A value is required for property 'displayName' of resource 'Application'.");
  const uniqueName = optionalText(body["uniqueName"]) ?? null;
  if (uniqueName !== null && directory.application(tenantId, { uniqueName }))
    throw badRequest(
      "Another object with the same value for property uniqueName already exists.",
      "Request_MultipleObjectsWithSameKeyValue",
    );
  requireSettable(body);
  // Checked before it is added: a refused one must leave nothing.
  const draft: Application = {
    ...emptyApplication,
    displayName,
    uniqueName,
    createdDateTime: new Date(platform.now()).toISOString(),
  };
  const { id: _id, createdDateTime: _created, appId: _appId, ...wanted } = changed(draft, { ...body, identifierUris: [] });
  const application = directory.addApplication(tenantId, { ...wanted, owners: [claims.oid] });
  // Two replicas: the one that reads by id, and the one that knows the application behind a new service principal.
  for (const replica of ["application", "backing application"])
    graph.settling.begin(`${replica}/${application.id}`, { milliseconds: REPLICATION_IN_MILLISECONDS });
  if (Array.isArray(body["identifierUris"]) && body["identifierUris"].length > 0) {
    directory.replaceApplication(tenantId, changed(application, { identifierUris: body["identifierUris"] }));
  }
  return {
    status: 201,
    effect: "write",
    headers: { location: `${platform.environment.graph.endpoint}/v1.0/applications/${application.id}` },
    body: {
      "@odata.context": graph.context("applications/$entity"),
      ...shown(directory.application(tenantId, { id: application.id }) ?? application),
    },
  };
}

const emptyApplication: Application = {
  id: "",
  appId: "",
  displayName: "",
  uniqueName: null,
  createdDateTime: "",
  signInAudience: "AzureADMyOrg",
  identifierUris: [],
  redirectUris: [],
  appRoles: [],
  requiredResourceAccess: [],
  passwordCredentials: [],
  federatedIdentityCredentials: [],
  owners: [],
  properties: {},
};

/** Objects such as `web` and `api` are merged, lists are replaced. */
function changed(application: Application, body: Record<string, unknown>): Application {
  requireSettable(body);
  const result: Application = { ...application, properties: { ...application.properties } };
  for (const [name, value] of Object.entries(body)) {
    if (name.startsWith("@odata") || name === "uniqueName") continue;
    if (name === "displayName" || name === "signInAudience") Object.assign(result, { [name]: value });
    else if (name === "identifierUris" || name === "appRoles" || name === "requiredResourceAccess")
      Object.assign(result, { [name]: value });
    else if (name === "web") {
      const { redirectUris, ...web } = record(value) ?? {};
      if (Array.isArray(redirectUris)) result.redirectUris = redirectUris.map(requireRedirectUri);
      result.properties["web"] = { ...record(result.properties["web"]), ...web };
    } else {
      if (name === "api") requireDisabledScopes(record(result.properties["api"]), record(value));
      const inner = record(value);
      result.properties[name] = inner ? { ...record(result.properties[name]), ...inner } : value;
    }
  }
  for (const uri of result.identifierUris)
    if (uri.startsWith("api://") && result.appId !== "" && !uri.startsWith(`api://${result.appId}`) && !uri.includes("."))
      throw badRequest(
        `Values of identifierUris property must use a verified domain of the organization or its subdomain: '${uri}'`,
        "HostNameNotOnVerifiedDomain",
      );
  return result;
}

function requireSettable(body: Record<string, unknown>): void {
  for (const name of Object.keys(body)) {
    if (name === "passwordCredentials")
      throw badRequest(
        "Updating the property 'passwordCredentials' is not supported. Use the addPassword and removePassword actions.",
      );
    if (!name.startsWith("@odata") && !settable.has(name)) throw badRequest(`Invalid property '${name}'.`);
  }
}

function requireRedirectUri(uri: unknown): string {
  if (
    typeof uri !== "string" ||
    !URL.canParse(uri) ||
    (uri.startsWith("http:") && !/^http:\/\/(localhost|127\.0\.0\.1)([:/]|$)/.test(uri))
  )
    throw badRequest(`Invalid value specified for property 'redirectUris' of resource 'WebApplication': ${String(uri)}`);
  return uri;
}

/** A scope can be removed only after it was disabled. */
function requireDisabledScopes(old: Record<string, unknown> | undefined, wanted: Record<string, unknown> | undefined): void {
  const scopes = (api: Record<string, unknown> | undefined): Record<string, unknown>[] => {
    const list = api?.["oauth2PermissionScopes"];
    return Array.isArray(list) ? list.map((scope: unknown) => record(scope) ?? {}) : [];
  };
  if (wanted?.["oauth2PermissionScopes"] === undefined) return;
  const kept = new Set(scopes(wanted).map((scope) => scope["id"]));
  if (scopes(old).some((scope) => scope["isEnabled"] === true && !kept.has(scope["id"])))
    throw badRequest(
      "Property api.oauth2PermissionScopes cannot be deleted or updated unless it is disabled first.",
      "CannotDeleteOrUpdateEnabledEntitlement",
    );
}

function find({ directory, tenantId }: GraphRequest, { name, value }: Key): Application | undefined {
  if (name === "id") return directory.application(tenantId, { id: value });
  if (name === "appId") return directory.application(tenantId, { appId: value });
  if (name === "uniqueName") return directory.application(tenantId, { uniqueName: value });
  throw badRequest(`The key '${name}' is not an alternate key of application.`, "BadRequest");
}

/** By its unique name a fresh application is found at once (the write goes to one replica), by id only after replication. */
function replicated(graph: GraphRequest, key: Key): Application {
  const application = find(graph, key);
  if (!application || (key.name !== "uniqueName" && graph.settling.unseen(`application/${application.id}`)))
    throw resourceNotFound(key.value);
  return application;
}

function readable(graph: GraphRequest, key: Key): Application {
  const application = replicated(graph, key);
  if (!mine(graph, application) && !may(graph, ...read.filter((one) => one !== OWNED))) throw requestDenied();
  return application;
}

function writable(graph: GraphRequest, key: Key): Application {
  const application = replicated(graph, key);
  requireOwner(graph, application);
  return application;
}

function requireOwner(graph: GraphRequest, application: Application): void {
  if (!may(graph, ALL) && !mine(graph, application)) throw requestDenied();
}

const mine = ({ claims }: GraphRequest, { owners, appId }: Application): boolean =>
  owners.includes(claims.oid) || appId === (claims.appid ?? claims.azp);

const credential = ({ keyId, displayName, hint, startDateTime, endDateTime }: PasswordCredential): Record<string, unknown> => ({
  customKeyIdentifier: null,
  displayName,
  endDateTime,
  hint,
  keyId,
  secretText: null,
  startDateTime,
});

function shown(application: Application): Record<string, unknown> {
  const {
    id,
    appId,
    displayName,
    uniqueName,
    createdDateTime,
    signInAudience,
    identifierUris,
    redirectUris,
    appRoles,
    requiredResourceAccess,
    passwordCredentials,
    properties,
  } = application;
  const { web, api, ...rest } = properties;
  return {
    id,
    deletedDateTime: null,
    appId,
    applicationTemplateId: null,
    createdDateTime,
    displayName,
    description: null,
    groupMembershipClaims: null,
    identifierUris,
    isFallbackPublicClient: null,
    notes: null,
    publisherDomain: null,
    signInAudience,
    tags: [],
    uniqueName,
    addIns: [],
    appRoles,
    keyCredentials: [],
    requiredResourceAccess,
    ...rest,
    api: {
      acceptMappedClaims: null,
      knownClientApplications: [],
      requestedAccessTokenVersion: null,
      oauth2PermissionScopes: [],
      preAuthorizedApplications: [],
      ...record(api),
    },
    passwordCredentials: passwordCredentials.map(credential),
    web: {
      homePageUrl: null,
      logoutUrl: null,
      ...record(web),
      redirectUris,
      implicitGrantSettings: {
        enableAccessTokenIssuance: false,
        enableIdTokenIssuance: false,
        ...record(record(web)?.["implicitGrantSettings"]),
      },
    },
  };
}

/** An application by appId, for routes of service principals. */
export const freshApplication = (graph: GraphRequest, appId: string): boolean => {
  const application = graph.directory.application(graph.tenantId, { appId });
  return application !== undefined && graph.settling.unseen(`backing application/${application.id}`);
};

export const notBacked = (appId: string): GraphFailure =>
  badRequest(
    `The appId '${appId}' of the service principal does not reference a valid application object.`,
    "NoBackingApplicationObject",
  );
