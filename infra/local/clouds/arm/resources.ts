/** PUT, GET, PATCH and DELETE of any resource in a resource group: what ARM and the providers do alike, whatever the type. */
import type { Claims, SimulatedResponse } from "../simulator.ts";
import { regions } from "./catalog.ts";
import { ArmError, page, textOf, type Json } from "./envelope.ts";
import { groupIdOf, keyOf, newEtag, newGuidEtag, sameId, type Estate, type Stored } from "./estate.ts";
import type { Operation } from "./operations.ts";
import { checkNetworkCount } from "./quotas.ts";
import type { Manner, ResourceType } from "./resource-type.ts";

export interface Addressed {
  endpoint: string;
  path: string;
  query: URLSearchParams;
  apiVersion: string;
  headers: Record<string, string>;
  claims: Claims;
  body: unknown;
  subscriptionId: string;
  resourceGroup: string;
  /** Resource id as the caller wrote it. */
  id: string;
  name: string;
  /** Id of the parent resource, for a child type such as a run command. */
  parentId?: string;
}

export function requireResourceGroup(estate: Estate, subscriptionId: string, name: string): { location: string } {
  const group = estate.resourceGroups.get(keyOf(`/subscriptions/${subscriptionId}/resourceGroups/${name}`));
  if (group === undefined) throw new ArmError(404, "ResourceGroupNotFound", `Resource group '${name}' could not be found.`);
  return group;
}

export function getResource(estate: Estate, type: ResourceType, call: Addressed): SimulatedResponse {
  const resource = requireResource(estate, type, call);
  return { status: 200, body: shown(type, resource, call.query), headers: etagHeader(resource) };
}

export function listResources(
  estate: Estate,
  type: ResourceType,
  scope: string,
  call: Omit<Addressed, "id" | "name">,
): SimulatedResponse {
  const below = `${keyOf(scope)}/`;
  const found = estate
    .ofType(type.type)
    .filter((resource) => keyOf(resource.id).startsWith(below))
    .toSorted((a, b) => a.createdAt - b.createdAt || a.id.localeCompare(b.id));
  return page(
    call,
    found.map((resource) => shown(type, resource, call.query)),
  );
}

export function putResource(estate: Estate, type: ResourceType, call: Addressed): SimulatedResponse {
  const group = requireResourceGroup(estate, call.subscriptionId, call.resourceGroup);
  requireGroupAlive(estate, call);
  const existing = estate.resource(call.id);
  if (type.creatable === false && existing === undefined)
    throw new ArmError(501, "NotModelled", `The simulator makes ${type.type} only along with what owns it.`);
  if (call.parentId !== undefined && estate.resource(call.parentId) === undefined)
    throw new ArmError(
      404,
      "ParentResourceNotFound",
      `Failed to perform 'write' on resource(s) of type '${type.type}', because the parent resource '${call.parentId}' could not be found.`,
    );
  requireUnlocked(estate, type, call.id);
  checkPreconditions(existing, call);
  const accepted = type.put({
    id: existing?.id ?? call.id,
    name: call.name,
    subscriptionId: call.subscriptionId,
    resourceGroup: call.resourceGroup,
    groupLocation: group.location,
    body: call.body,
    existing,
    claims: call.claims,
  });
  if (existing !== undefined && existing.location !== accepted.location)
    throw new ArmError(
      409,
      "InvalidResourceLocation",
      `The resource '${existing.name}' already exists in location '${existing.location}' in resource group '${call.resourceGroup}'. A resource with the same name cannot be created in location '${accepted.location}'. Please select a new resource name.`,
    );
  if (accepted.unchanged && existing !== undefined)
    return { status: 200, body: shown(type, existing, call.query), headers: etagHeader(existing), effect: "none" };
  if (type.regional !== false && regions[accepted.location] === undefined)
    throw new ArmError(
      400,
      "LocationNotAvailableForResourceType",
      `The provided location '${accepted.location}' is not available for resource type '${type.type}'. List of available regions for the resource type is '${Object.keys(regions).join(",")}'.`,
    );
  const created = existing === undefined;
  if (created) checkNetworkCount(estate, { subscriptionId: call.subscriptionId, location: accepted.location }, type.type);
  const failure = estate.failures.take({
    id: call.id,
    name: call.name,
    type: type.type,
    location: accepted.location,
    operation: "put",
    body: accepted.body,
  });
  const answer = {
    status: created ? (type.createdStatus ?? 201) : 200,
    effect: accepted.effect ?? ("write" as const),
  };
  if (type.manner === "sync") {
    const resource = remember(estate, type, { call, existing, accepted });
    return { ...answer, body: shown(type, resource, call.query), headers: etagHeader(resource) };
  }
  // The operation first: were the process killed in between, an operation without an effect harms nobody, a resource that stays Updating does.
  const operation = estate.operations.begin(
    {
      kind: type.putOperation ?? "put",
      name: `Put${operationNoun(type.type)}Operation`,
      subscriptionId: call.subscriptionId,
      namespace: namespaceOf(type.type),
      location: accepted.location,
      target: existing?.id ?? call.id,
      facts: failure === undefined ? {} : { failure },
    },
    estate.duration(type.putInSeconds ?? 0),
  );
  const resource = remember(estate, type, { call, existing, accepted });
  if (type.manner === "sql" || type.manner === "storage")
    return {
      status: 202,
      effect: answer.effect,
      headers: operationHeaders(call, operation, type.manner, created ? "create" : "update"),
      ...(type.manner === "sql" ? { body: operationBegun(operation) } : {}),
    };
  return {
    ...answer,
    body: shown(type, resource, call.query),
    headers: { ...etagHeader(resource), ...operationHeaders(call, operation, type.manner, created ? "create" : "update") },
  };
}

function remember(
  estate: Estate,
  type: ResourceType,
  {
    call,
    existing,
    accepted,
  }: {
    call: Addressed;
    existing: Stored | undefined;
    accepted: { location: string; body: Json & { properties: Json }; facts?: Json };
  },
): Stored {
  const version = Number(existing?.facts["version"] ?? 0) + 1;
  const etag = nextEtag(type, version);
  const state = type.manner === "sync" ? {} : { [type.progress?.property ?? "provisioningState"]: progressOf(type, existing) };
  const resource: Stored = {
    id: existing?.id ?? call.id,
    name: existing?.name ?? call.name,
    type: type.type,
    location: accepted.location,
    body: { ...accepted.body, ...(etag === undefined ? {} : { etag }), properties: { ...accepted.body.properties, ...state } },
    facts: { ...existing?.facts, ...accepted.facts, version },
    createdAt: existing?.createdAt ?? estate.platform.now(),
  };
  estate.save(resource);
  type.accepted?.(resource);
  return resource;
}

function nextEtag({ etag }: ResourceType, version: number): string | undefined {
  if (etag === "guid") return newGuidEtag();
  return etag === "weak" ? newEtag() : etag === "number" ? `"${version}"` : undefined;
}

const progressOf = ({ manner, progress }: ResourceType, existing: Stored | undefined): string => {
  if (progress !== undefined) return existing === undefined ? progress.creating : progress.updating;
  return (manner === "compute" || manner === "storage") && existing === undefined ? "Creating" : "Updating";
};

/** What SQL says of an operation that it has begun. */
const operationBegun = ({ name, startedAt }: Operation): Json => ({
  operation: name,
  startTime: new Date(startedAt).toISOString(),
});

/** Tags are replaced, properties merged over what is there; then it is a PUT, but Network answers tag changes at once. */
export function patchResource(estate: Estate, type: ResourceType, call: Addressed): SimulatedResponse {
  const existing = requireResource(estate, type, call);
  requireGroupAlive(estate, call);
  const patch = call.body as Json | undefined;
  const onlyTags = Object.keys(patch ?? {}).every((key) => key === "tags");
  if (onlyTags && type.manner !== "compute") {
    const tagged = retagged(estate, type, existing, patch?.["tags"] ?? {});
    return { status: 200, body: shown(type, tagged, call.query), headers: etagHeader(tagged), effect: "write" };
  }
  const { id: _id, name: _name, type: _type, etag: _etag, ...body } = existing.body;
  const properties = { ...existing.body.properties, ...(patch?.["properties"] as Json | undefined) };
  return putResource(estate, type, { ...call, body: { ...body, location: existing.location, ...patch, properties } });
}

/** With other tags, and otherwise as it was. */
export function retagged(estate: Estate, type: ResourceType, existing: Stored, tags: unknown): Stored {
  requireUnlocked(estate, type, existing.id);
  const tagged: Stored = {
    ...existing,
    body: {
      ...existing.body,
      tags,
      ...(type.etag === "weak" ? { etag: newEtag() } : {}),
      ...(type.etag === "guid" ? { etag: newGuidEtag() } : {}),
    },
  };
  estate.save(tagged);
  return tagged;
}

export function deleteResource(estate: Estate, type: ResourceType, call: Addressed): SimulatedResponse {
  requireResourceGroup(estate, call.subscriptionId, call.resourceGroup);
  const existing = estate.resource(call.id);
  if (existing === undefined) return { status: 204 };
  requireUnlocked(estate, type, call.id);
  checkPreconditions(existing, call);
  type.checkDelete?.(existing);
  const effect = type.deleteEffect?.(existing) ?? "write";
  const failure = estate.failures.take({
    id: existing.id,
    name: existing.name,
    type: type.type,
    location: existing.location,
    operation: "delete",
    body: existing.body,
  });
  // Storage begins its creations, but deletes at once.
  if (type.manner === "sync" || type.manner === "storage") {
    type.deleted?.(existing);
    estate.remove(existing.id);
    return { status: 200, effect };
  }
  const operation = estate.operations.begin(
    {
      kind: "delete",
      name: `Delete${operationNoun(type.type)}Operation`,
      subscriptionId: call.subscriptionId,
      namespace: namespaceOf(type.type),
      location: existing.location,
      target: existing.id,
      facts: failure === undefined ? {} : { failure },
    },
    estate.duration(type.deleteInSeconds ?? 0),
  );
  if (type.progress === undefined)
    estate.save({
      ...existing,
      body: { ...existing.body, properties: { ...existing.body.properties, provisioningState: "Deleting" } },
    });
  return { status: 202, headers: operationHeaders(call, operation, type.manner, "delete"), effect };
}

/** A member of a list inside a resource, such as a subnet: it is shown, added and removed through its owner. */
export function handleChild(
  estate: Estate,
  type: ResourceType,
  call: Addressed,
  { method, collection, name }: { method: string; collection: string; name: string | undefined },
): SimulatedResponse {
  const owner = requireResource(estate, type, call);
  const presented = (type.present?.(owner, { expand: undefined }) ?? owner.body) as { properties: Json };
  const all = (presented.properties[collection] ?? []) as Json[];
  const child = all.find((candidate) => sameId(candidate["name"], name));
  if (method === "GET" && name === undefined) return page(call, all);
  if (method === "GET" && child !== undefined)
    return { status: 200, body: child, headers: typeof child["etag"] === "string" ? { etag: child["etag"] } : {} };
  if (method === "GET") throw new ArmError(404, "NotFound", `Resource ${call.path} not found.`);
  if (name === undefined || !["PUT", "DELETE"].includes(method)) throw methodNotAllowed(method);
  if (method === "DELETE" && child === undefined) return { status: 204 };
  const others = ((owner.body.properties[collection] ?? []) as Json[]).filter((candidate) => !sameId(candidate["name"], name));
  const members = method === "PUT" ? [...others, { ...(call.body as Json), name }] : others;
  const { id: _id, name: _name, type: _type, etag: _etag, ...body } = owner.body;
  const answer = putResource(estate, type, {
    ...call,
    headers: {},
    body: { ...body, location: owner.location, properties: { ...owner.body.properties, [collection]: members } },
  });
  if (method === "DELETE") return { status: 202, headers: answer.headers ?? {}, effect: "write" };
  const list = ((answer.body as { properties: Json }).properties[collection] ?? []) as Json[];
  return { ...answer, status: child === undefined ? 201 : 200, body: list.find((candidate) => sameId(candidate["name"], name)) };
}

export const methodNotAllowed = (method: string): ArmError =>
  new ArmError(405, "MethodNotAllowed", `The request method '${method}' is not allowed on this resource.`);

export function requireResource(estate: Estate, type: ResourceType, call: Addressed): Stored {
  requireResourceGroup(estate, call.subscriptionId, call.resourceGroup);
  const resource = estate.resource(call.id);
  if (resource === undefined)
    throw new ArmError(
      404,
      "ResourceNotFound",
      `The Resource '${call.id.split("/providers/").at(-1)}' under resource group '${call.resourceGroup}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix`,
    );
  return resource;
}

export const shown = (type: ResourceType, resource: Stored, query: URLSearchParams): Json =>
  type.present?.(resource, { expand: query.get("$expand") ?? undefined }) ?? resource.body;

function requireGroupAlive(estate: Estate, call: Addressed): void {
  const group = estate.resourceGroups.get(keyOf(groupIdOf(call.id)));
  if (group?.provisioningState !== "Deleting") return;
  throw new ArmError(
    409,
    "ResourceGroupBeingDeleted",
    `The resource group '${group.name}' is in deprovisioning state and cannot perform this operation.`,
  );
}

/** Network answers 429 while another operation holds the resource (Microsoft's "Request limits and throttling"); Compute answers 409. */
function requireUnlocked(estate: Estate, type: ResourceType, id: string): void {
  const running = estate.operations.runningOn(id);
  if (running === undefined) return;
  if (type.manner === "network")
    throw new ArmError(
      429,
      "RetryableErrorDueToAnotherOperation",
      `Operation on resource ${id} can not be started: operation ${running.name} (${running.id}) on this or a dependent resource is in progress.`,
      { headers: { "retry-after": "1" } },
    );
  throw new ArmError(
    409,
    "Conflict",
    "The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests.",
  );
}

function checkPreconditions(existing: Stored | undefined, { headers }: Addressed): void {
  const ifMatch = headers["if-match"];
  const etag = existing?.body["etag"];
  if (headers["if-none-match"] === "*" && existing !== undefined)
    throw new ArmError(412, "PreconditionFailed", `The resource '${existing.id}' already exists; If-None-Match: * was given.`);
  if (ifMatch === undefined || (ifMatch === "*" && existing !== undefined) || ifMatch === etag) return;
  throw new ArmError(
    412,
    "PreconditionFailed",
    `Precondition failed. Etag provided in if-match header ${ifMatch} does not match etag ${textOf(etag, "null")} of resource ${existing?.id ?? ""} in NRP data store.`,
  );
}

const etagHeader = ({ body: { etag } }: Stored): Record<string, string> => (typeof etag === "string" ? { etag } : {});

export const namespaceOf = (type: string): string => type.slice(0, type.indexOf("/"));

const operationNoun = (type: string): string => {
  const last = type.split("/").at(-1) ?? type;
  const singular = last.slice(0, last.endsWith("sses") ? -2 : -1);
  return singular.charAt(0).toUpperCase() + singular.slice(1);
};

/** Where to look how far an operation is. Network's writes have no Location, its deletes have both; Compute's and SQL's have both. */
export function operationHeaders(
  { endpoint, apiVersion }: { endpoint: string; apiVersion: string },
  operation: Operation,
  manner: Exclude<Manner, "sync">,
  verb: "create" | "update" | "delete" | "action",
): Record<string, string> {
  const base = `${endpoint}/subscriptions/${operation.subscriptionId}/providers/${operation.namespace}/locations/${operation.location}`;
  const status = `${base}/operations/${operation.id}?api-version=${apiVersion}`;
  const result = `${base}/operationResults/${operation.id}?api-version=${apiVersion}`;
  if (manner === "storage") return { location: result, "retry-after": "17" };
  if (manner === "sql") return { "azure-asyncoperation": status, location: result, "retry-after": "15" };
  if (manner === "network")
    return {
      "azure-asyncoperation": status,
      "retry-after": "1",
      ...(verb === "delete" ? { location: result } : {}),
    };
  return {
    "azure-asyncoperation": `${base}/operations/${operation.id}?p=${operation.id.slice(0, 8)}&api-version=${apiVersion}`,
    "retry-after": "10",
    ...(verb === "create" || verb === "update"
      ? {}
      : { location: `${base}/operations/${operation.id}?p=${operation.id.slice(0, 8)}&monitor=true&api-version=${apiVersion}` }),
  };
}
