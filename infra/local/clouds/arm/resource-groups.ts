/** Microsoft.Resources: resource groups, and the lists of resources in a group or a subscription. */
import * as z from "zod";
import type { SimulatedResponse } from "../simulator.ts";
import { regions } from "./catalog.ts";
import { ArmError, page, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { keyOf, type Estate, type ResourceGroup, type Stored } from "./estate.ts";
import type { Operation } from "./operations.ts";

const resourceGroupSchema = z.looseObject({ location: z.string(), tags: tagsSchema.default({}) });

const DELETION_IN_SECONDS = 15;

interface GroupCall {
  endpoint: string;
  path: string;
  query: URLSearchParams;
  apiVersion: string;
  subscriptionId: string;
  body: unknown;
}

const groupKey = (subscriptionId: string, name: string): string =>
  keyOf(`/subscriptions/${subscriptionId}/resourceGroups/${name}`);

const body = ({ id, name, location, tags, provisioningState }: ResourceGroup): Json => ({
  id,
  name,
  type: "Microsoft.Resources/resourceGroups",
  location,
  tags,
  properties: { provisioningState },
});

export function handleResourceGroup(estate: Estate, method: string, name: string, call: GroupCall): SimulatedResponse {
  const key = groupKey(call.subscriptionId, name);
  const existing = estate.resourceGroups.get(key);
  if (method === "PUT") return putGroup(estate, { name, existing, call });
  if (method === "HEAD") return { status: existing === undefined ? 404 : 204 };
  if (existing === undefined) throw new ArmError(404, "ResourceGroupNotFound", `Resource group '${name}' could not be found.`);
  if (method === "GET") return { status: 200, body: body(existing) };
  if (method === "PATCH") {
    const { tags } = parseBody(z.looseObject({ tags: tagsSchema.optional() }), call.body);
    const changed = { ...existing, tags: tags ?? existing.tags };
    estate.resourceGroups.set(key, changed);
    return { status: 200, body: body(changed), effect: "write" };
  }
  if (method === "DELETE") return deleteGroup(estate, existing, call);
  throw new ArmError(405, "MethodNotAllowed", `The request method '${method}' is not allowed on a resource group.`);
}

function putGroup(
  estate: Estate,
  { name, existing, call }: { name: string; existing: ResourceGroup | undefined; call: GroupCall },
): SimulatedResponse {
  const { location, tags } = parseBody(resourceGroupSchema, call.body);
  if (!/^[-\w._()]{1,90}$/.test(name) || name.endsWith("."))
    throw new ArmError(
      400,
      "InvalidResourceGroup",
      `The provided resource group name '${name}' has these invalid characters or is longer than 90 characters. The name can only be a letter, digit, '-', '.', '(', ')' or '_', and cannot end with '.'.`,
    );
  const region = location.toLowerCase().replaceAll(" ", "");
  if (regions[region] === undefined)
    throw new ArmError(
      400,
      "LocationNotAvailableForResourceGroup",
      `The provided location '${location}' is not available for resource group. List of available regions is '${Object.keys(regions).join(",")}'.`,
    );
  if (existing?.provisioningState === "Deleting")
    throw new ArmError(
      409,
      "ResourceGroupBeingDeleted",
      `The resource group '${name}' is in deprovisioning state and cannot perform this operation.`,
    );
  if (existing !== undefined && existing.location !== region)
    throw new ArmError(
      409,
      "InvalidResourceGroupLocation",
      `Invalid resource group location '${location}'. The Resource group already exists in location '${existing.location}'.`,
    );
  const group: ResourceGroup = {
    id: existing?.id ?? `/subscriptions/${call.subscriptionId}/resourceGroups/${name}`,
    name: existing?.name ?? name,
    location: region,
    tags,
    provisioningState: "Succeeded",
  };
  estate.resourceGroups.set(keyOf(group.id), group);
  return { status: existing === undefined ? 201 : 200, body: body(group), effect: "write" };
}

/** 202 with a Location only; there is no Azure-AsyncOperation for groups. */
function deleteGroup(estate: Estate, group: ResourceGroup, call: GroupCall): SimulatedResponse {
  const running = estate.operations.runningOn(group.id);
  const operation =
    running ??
    estate.operations.begin(
      {
        kind: "deleteResourceGroup",
        name: "DeleteResourceGroup",
        subscriptionId: call.subscriptionId,
        namespace: "Microsoft.Resources",
        location: group.location,
        target: group.id,
        facts: {},
      },
      estate.duration(DELETION_IN_SECONDS),
    );
  estate.resourceGroups.set(keyOf(group.id), { ...group, provisioningState: "Deleting" });
  return {
    status: 202,
    headers: {
      location: `${call.endpoint}/subscriptions/${call.subscriptionId}/operationresults/${operation.id}?api-version=${call.apiVersion}`,
      "retry-after": "15",
    },
    effect: running === undefined ? "write" : "none",
  };
}

/** Everything in the group goes, in whatever order; the providers' own refusals don't apply. */
export function removeGroup(
  estate: Estate,
  operation: Operation,
  { types, removed }: { types: string[]; removed: (resource: Stored) => void },
): void {
  const below = `${keyOf(operation.target)}/`;
  for (const resource of types.flatMap((type) => estate.ofType(type)))
    if (keyOf(resource.id).startsWith(below)) {
      removed(resource);
      estate.remove(resource.id);
    }
  for (const assignment of estate.roleAssignments.values())
    if (`${keyOf(assignment.scope)}/`.startsWith(below)) estate.roleAssignments.delete(keyOf(assignment.id));
  estate.resourceGroups.delete(keyOf(operation.target));
}

export function listGroups(estate: Estate, call: GroupCall): SimulatedResponse {
  const below = `${keyOf(`/subscriptions/${call.subscriptionId}/resourceGroups`)}/`;
  const tag = tagFilter(call.query.get("$filter"));
  const groups = estate.resourceGroups
    .values()
    .filter(({ id, tags }) => keyOf(id).startsWith(below) && tag({ tags }))
    .toSorted((a, b) => a.name.localeCompare(b.name));
  return page(call, groups.map(body));
}

/** The generic view of resources: id, name, type, location, tags, whom they serve. Child resources are not listed. */
export function listAll(estate: Estate, types: string[], scope: string, call: GroupCall): SimulatedResponse {
  const filter = call.query.get("$filter");
  const ofType = filter === null ? undefined : /^resourceType eq '([^']+)'$/i.exec(filter)?.[1]?.toLowerCase();
  const tag = ofType === undefined ? tagFilter(filter) : () => true;
  const below = `${keyOf(scope)}/`;
  const found = types
    .filter((type) => type.split("/").length === 2 && (ofType === undefined || type.toLowerCase() === ofType))
    .flatMap((type) => estate.ofType(type))
    .filter(({ id, body: { tags } }) => keyOf(id).startsWith(below) && tag({ tags }))
    .toSorted((a, b) => a.id.localeCompare(b.id));
  return page(
    call,
    found.map(({ id, name, type, location, body: { tags, managedBy } }) => ({
      id,
      name,
      type,
      location,
      ...(tags === undefined ? {} : { tags }),
      ...(managedBy === undefined ? {} : { managedBy }),
    })),
  );
}

function tagFilter(filter: string | null): (holder: { tags?: unknown }) => boolean {
  if (filter === null) return () => true;
  const match = /^tagName eq '([^']+)'(?: and tagValue eq '([^']*)')?$/i.exec(filter);
  if (match === null)
    throw new ArmError(400, "InvalidFilterInQueryString", `Invalid $filter '${filter}' specified in the query string.`);
  const [, name = "", value] = match;
  return ({ tags }) => {
    const found = (tags as Record<string, string> | undefined)?.[name];
    return found !== undefined && (value === undefined || found === value);
  };
}
