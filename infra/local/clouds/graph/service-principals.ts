/** `/servicePrincipals` with its app role assignments, and `/oauth2PermissionGrants` (Graph v1.0). */
import { randomBytes } from "node:crypto";
import type { AppRoleAssignment, OAuth2PermissionGrant, ServicePrincipal } from "../entra/directory.ts";
import type { SimulatedResponse } from "../simulator.ts";
import { alreadyUsed, badRequest, requestDenied, resourceNotFound } from "./answers.ts";
import { freshApplication, notBacked } from "./applications.ts";
import { filtered, paged, selected } from "./query.ts";
import { bodyOf, type GraphRequest, KEY, type Key, keyOf, may, optionalText, type Route } from "./route.ts";

const ALL = "Application.ReadWrite.All";
const write = [ALL, "Application.ReadWrite.OwnedBy"];
const read = [...write, "Application.Read.All", "Directory.Read.All"];
const assign = ["AppRoleAssignment.ReadWrite.All"];
const grant = ["DelegatedPermissionGrant.ReadWrite.All"];
const PAGE_SIZE = 100;
const BOOLEANS = ["accountEnabled", "appRoleAssignmentRequired"] as const;
const settable = new Set([
  ...BOOLEANS,
  "displayName",
  "description",
  "homepage",
  "loginUrl",
  "notes",
  "notificationEmailAddresses",
  "preferredSingleSignOnMode",
  "replyUrls",
  "tags",
]);

export const servicePrincipalRoutes: Route[] = [
  {
    method: "GET",
    pattern: /^\/servicePrincipals$/,
    permissions: read,
    run: (graph) =>
      list(
        graph,
        "servicePrincipals",
        graph.directory.servicePrincipals(graph.tenantId).map((principal) => shown(graph, principal)),
      ),
  },
  {
    method: "POST",
    pattern: /^\/servicePrincipals$/,
    permissions: write,
    run: (graph) => {
      const { directory, tenantId, claims } = graph;
      const appId = optionalText(bodyOf(graph)["appId"]);
      if (appId === undefined) throw badRequest("A value is required for property 'appId' of resource 'ServicePrincipal'.");
      if (directory.servicePrincipal(tenantId, { appId }))
        throw alreadyUsed(
          `The service principal cannot be created, updated, or restored because the service principal name ${appId} is already in use.`,
        );
      const made = freshApplication(graph, appId) ? undefined : directory.ensureServicePrincipal(tenantId, appId);
      if (!made) throw notBacked(appId);
      const principal = { ...made, owners: [claims.oid] };
      directory.replaceServicePrincipal(tenantId, principal);
      graph.settling.begin(`reference/${principal.id}`);
      return {
        status: 201,
        effect: "write",
        body: { "@odata.context": graph.context("servicePrincipals/$entity"), ...shown(graph, principal) },
      };
    },
  },
  {
    method: "GET",
    pattern: new RegExp(`^/servicePrincipals${KEY}$`),
    permissions: read,
    run: (graph) => ({
      status: 200,
      body: {
        "@odata.context": graph.context("servicePrincipals/$entity"),
        ...selected(shown(graph, required(graph, keyOf(graph.parts))), graph.request.url),
      },
    }),
  },
  {
    method: "PATCH",
    pattern: new RegExp(`^/servicePrincipals${KEY}$`),
    permissions: write,
    run: (graph) => {
      const principal = owned(graph, keyOf(graph.parts));
      const body = bodyOf(graph);
      for (const name of Object.keys(body)) if (!settable.has(name)) throw badRequest(`Invalid property '${name}'.`);
      const flags = Object.fromEntries(BOOLEANS.flatMap((name) => (typeof body[name] === "boolean" ? [[name, body[name]]] : [])));
      const rest = Object.fromEntries(Object.entries(body).filter(([name]) => !(name in flags)));
      graph.directory.replaceServicePrincipal(graph.tenantId, {
        ...principal,
        ...flags,
        properties: { ...principal.properties, ...rest },
      });
      return { status: 204, effect: "write" };
    },
  },
  {
    method: "DELETE",
    pattern: new RegExp(`^/servicePrincipals${KEY}$`),
    permissions: write,
    run: (graph) => {
      graph.directory.deleteServicePrincipal(graph.tenantId, owned(graph, keyOf(graph.parts)).id);
      return { status: 204, effect: "write" };
    },
  },
  {
    method: "GET",
    pattern: new RegExp(`^/servicePrincipals${KEY}/(appRoles|oauth2PermissionScopes)$`),
    permissions: read,
    run: (graph) => {
      const name = graph.parts[3] === "appRoles" ? "appRoles" : "oauth2PermissionScopes";
      const principal = required(graph, keyOf(graph.parts));
      return {
        status: 200,
        body: {
          "@odata.context": graph.context(`servicePrincipals('${principal.id}')/${name}`),
          value: graph.directory.describe(principal.appId)?.[name] ?? [],
        },
      };
    },
  },
  {
    method: "GET",
    pattern: new RegExp(`^/servicePrincipals${KEY}/(appRoleAssignments|appRoleAssignedTo)$`),
    permissions: [...read, ...assign],
    run: (graph) =>
      list(
        graph,
        "appRoleAssignments",
        assignmentsOf(graph).map((assignment) => ({ ...assignment, deletedDateTime: null })),
      ),
  },
  {
    method: "POST",
    pattern: new RegExp(`^/servicePrincipals${KEY}/(appRoleAssignments|appRoleAssignedTo)$`),
    permissions: assign,
    run: (graph) => {
      const { id } = required(graph, keyOf(graph.parts));
      const body = bodyOf(graph);
      const [principalId = "", resourceId = "", appRoleId = ""] = ["principalId", "resourceId", "appRoleId"].map((name) =>
        optionalText(body[name]),
      );
      if ((graph.parts[3] === "appRoleAssignedTo" ? resourceId : principalId) !== id)
        throw badRequest("The id in the request's path doesn't match the one in its body.");
      if (graph.settling.unseen(`reference/${principalId}`)) throw resourceNotFound(principalId);
      const ensured = graph.directory.ensureAppRoleAssignment(graph.tenantId, { principalId, resourceId, appRoleId });
      if (!ensured) throw badRequest(`Permission being assigned was not found on application '${resourceId}'`);
      if (!ensured.created) throw badRequest("Permission being assigned already exists on the object");
      graph.settling.begin(`listed/${ensured.assignment.id}`);
      return {
        status: 201,
        effect: "write",
        body: { "@odata.context": graph.context("appRoleAssignments/$entity"), ...ensured.assignment, deletedDateTime: null },
      };
    },
  },
  {
    method: "DELETE",
    pattern: new RegExp(`^/servicePrincipals${KEY}/(appRoleAssignments|appRoleAssignedTo)/([^/]+)$`),
    permissions: assign,
    run: (graph) => {
      const id = graph.parts[4] ?? "";
      if (!assignmentsOf(graph).some((assignment) => assignment.id === id)) throw resourceNotFound(id);
      graph.directory.deleteAppRoleAssignment(graph.tenantId, id);
      return { status: 204, effect: "write" };
    },
  },
  {
    method: "GET",
    pattern: new RegExp(`^/servicePrincipals${KEY}/oauth2PermissionGrants$`),
    permissions: [...grant, "Directory.Read.All"],
    run: (graph) => {
      const { id } = required(graph, keyOf(graph.parts));
      const grants = graph.directory.oauth2PermissionGrants(graph.tenantId).filter(({ clientId }) => clientId === id);
      return list(
        graph,
        "oauth2PermissionGrants",
        grants.map((one) => ({ ...one })),
      );
    },
  },
  {
    method: "GET",
    pattern: /^\/oauth2PermissionGrants$/,
    permissions: [...grant, "Directory.Read.All"],
    run: (graph) =>
      list(
        graph,
        "oauth2PermissionGrants",
        graph.directory.oauth2PermissionGrants(graph.tenantId).map((one) => ({ ...one })),
      ),
  },
  {
    method: "POST",
    pattern: /^\/oauth2PermissionGrants$/,
    permissions: grant,
    run: (graph) => {
      const { directory, tenantId } = graph;
      const body = bodyOf(graph);
      const [clientId = "", resourceId = "", scope = "", consentType] = ["clientId", "resourceId", "scope", "consentType"].map(
        (name) => optionalText(body[name]),
      );
      const principalId = optionalText(body["principalId"]) ?? null;
      if (consentType !== "AllPrincipals" && consentType !== "Principal")
        throw badRequest("Invalid value specified for property 'consentType' of resource 'OAuth2PermissionGrant'.");
      if ((consentType === "Principal") !== (principalId !== null))
        throw badRequest("principalId must be set with consentType Principal, and only then.");
      for (const id of [clientId, resourceId])
        if (!directory.servicePrincipal(tenantId, { id }) || graph.settling.unseen(`reference/${id}`)) throw resourceNotFound(id);
      if (
        directory
          .oauth2PermissionGrants(tenantId)
          .some(
            (one) =>
              one.clientId === clientId &&
              one.resourceId === resourceId &&
              one.consentType === consentType &&
              one.principalId === principalId,
          )
      )
        throw alreadyUsed("Permission entry already exists.");
      const made: OAuth2PermissionGrant = {
        id: randomBytes(32).toString("base64url"),
        clientId,
        consentType,
        principalId,
        resourceId,
        scope,
      };
      directory.replaceOAuth2PermissionGrant(tenantId, made);
      graph.settling.begin(`listed/${made.id}`);
      return {
        status: 201,
        effect: "write",
        body: { "@odata.context": graph.context("oauth2PermissionGrants/$entity"), ...made },
      };
    },
  },
  {
    method: "GET",
    pattern: /^\/oauth2PermissionGrants\/([^/]+)$/,
    permissions: [...grant, "Directory.Read.All"],
    run: (graph) => ({
      status: 200,
      body: { "@odata.context": graph.context("oauth2PermissionGrants/$entity"), ...grantNamed(graph) },
    }),
  },
  {
    method: "PATCH",
    pattern: /^\/oauth2PermissionGrants\/([^/]+)$/,
    permissions: grant,
    run: (graph) => {
      const scope = optionalText(bodyOf(graph)["scope"]);
      if (scope === undefined) throw badRequest("Only the property 'scope' can be updated.");
      graph.directory.replaceOAuth2PermissionGrant(graph.tenantId, { ...grantNamed(graph), scope });
      return { status: 204, effect: "write" };
    },
  },
  {
    method: "DELETE",
    pattern: /^\/oauth2PermissionGrants\/([^/]+)$/,
    permissions: grant,
    run: (graph) => {
      graph.directory.deleteOAuth2PermissionGrant(graph.tenantId, grantNamed(graph).id);
      return { status: 204, effect: "write" };
    },
  },
];

function list(graph: GraphRequest, name: string, values: Record<string, unknown>[]): SimulatedResponse {
  const { url } = graph.request;
  const listed = filtered(values, url).filter(({ id }) => !graph.settling.unseen(`listed/${String(id)}`));
  const { page, nextLink } = paged(listed, url, PAGE_SIZE);
  return {
    status: 200,
    body: {
      "@odata.context": graph.context(name),
      ...(nextLink === undefined ? {} : { "@odata.nextLink": nextLink }),
      value: page.map((value) => selected(value, url)),
    },
  };
}

function required({ directory, tenantId }: GraphRequest, { name, value }: Key): ServicePrincipal {
  if (name !== "id" && name !== "appId")
    throw badRequest(`The key '${name}' is not an alternate key of servicePrincipal.`, "BadRequest");
  const principal = directory.servicePrincipal(tenantId, name === "id" ? { id: value } : { appId: value });
  if (!principal) throw resourceNotFound(value);
  return principal;
}

/** Application.ReadWrite.OwnedBy changes only what the caller owns, or whose application it owns. */
function owned(graph: GraphRequest, key: Key): ServicePrincipal {
  const principal = required(graph, key);
  const { claims, directory, tenantId } = graph;
  const owners = [...principal.owners, ...(directory.application(tenantId, { appId: principal.appId })?.owners ?? [])];
  if (!may(graph, ALL) && !owners.includes(claims.oid)) throw requestDenied();
  return principal;
}

function assignmentsOf(graph: GraphRequest): AppRoleAssignment[] {
  const { id } = required(graph, keyOf(graph.parts));
  const granted = graph.parts[3] === "appRoleAssignments";
  return graph.directory
    .appRoleAssignments(graph.tenantId)
    .filter(({ principalId, resourceId }) => (granted ? principalId : resourceId) === id);
}

function grantNamed({ directory, tenantId, parts: [id = ""] }: GraphRequest): OAuth2PermissionGrant {
  const found = directory.oauth2PermissionGrants(tenantId).find((one) => one.id === id);
  if (!found) throw resourceNotFound(id);
  return found;
}

function shown({ directory }: GraphRequest, principal: ServicePrincipal): Record<string, unknown> {
  const {
    id,
    appId,
    displayName,
    appOwnerOrganizationId,
    accountEnabled,
    appRoleAssignmentRequired,
    servicePrincipalType,
    createdDateTime,
    properties,
  } = principal;
  const application = directory.registeredApplication(appId)?.application;
  const described = directory.describe(appId);
  return {
    id,
    deletedDateTime: null,
    accountEnabled,
    appDisplayName: application?.displayName ?? displayName,
    appId,
    appOwnerOrganizationId,
    appRoleAssignmentRequired,
    createdDateTime,
    displayName,
    replyUrls: application?.redirectUris ?? [],
    servicePrincipalNames: [appId, ...(application?.identifierUris ?? [])],
    servicePrincipalType,
    signInAudience: application?.signInAudience ?? "AzureADMultipleOrgs",
    tags: [],
    keyCredentials: [],
    passwordCredentials: [],
    ...properties,
    appRoles: described?.appRoles ?? [],
    oauth2PermissionScopes: described?.oauth2PermissionScopes ?? [],
  };
}
