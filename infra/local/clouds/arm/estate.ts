/**
 * Everything that exists in the simulated subscriptions, with the references between it.
 *
 * Collections: `arm.resourceGroups` by id in lower case, `arm.<type in lower case>` with the resources of one type by id in lower case,
 * `arm.guests` by the virtual machine's id in lower case, `arm.roleAssignments` by id in lower case, `arm.deletedVaults` by name,
 * `arm.counters` by purpose. What a collection gives is never changed in place; a change is written back whole.
 */
import { randomUUID } from "node:crypto";
import type { Collection, Organization, Platform } from "../simulator.ts";
import { ArmError, type Json } from "./envelope.ts";
import type { Failures } from "./failures.ts";
import type { GuestState } from "../guest/state.ts";
import type { Operations } from "./operations.ts";

export interface ResourceGroup {
  id: string;
  name: string;
  location: string;
  tags: Record<string, string>;
  provisioningState: "Succeeded" | "Deleting";
}

export interface Stored {
  /** As its creator wrote it; ids compare without case. */
  id: string;
  name: string;
  /** As Azure spells it, for example `Microsoft.Network/publicIPAddresses`. */
  type: string;
  location: string;
  /** What a GET shows, without back-references. */
  body: Json & { properties: Json };
  /** What only the simulator knows. */
  facts: Json;
  createdAt: number;
}

export interface RoleAssignment {
  id: string;
  name: string;
  scope: string;
  principalId: string;
  principalType: string;
  roleDefinitionId: string;
  condition?: string;
  conditionVersion?: string;
  description?: string;
  createdAt: number;
  createdBy: string;
}

export interface DeletedVault {
  resource: Stored;
  deletedAt: number;
  scheduledPurgeAt: number;
}

export interface Estate {
  readonly platform: Platform;
  readonly resourceGroups: Collection<ResourceGroup>;
  readonly guests: Collection<GuestState>;
  readonly roleAssignments: Collection<RoleAssignment>;
  readonly deletedVaults: Collection<DeletedVault>;
  readonly operations: Operations;
  readonly failures: Failures;
  /** The next number of a purpose; never the same twice, restarts included. */
  next(purpose: string): number;
  resource(id: string): Stored | undefined;
  ofType(type: string): Stored[];
  save(resource: Stored): void;
  remove(id: string): void;
  subscription(subscriptionId: string): (Organization & { subscriptionId: string }) | undefined;
  /** A modelled duration in seconds as milliseconds of this platform. */
  duration(seconds: number): number;
}

export const keyOf = (id: string): string => id.toLowerCase();
export const sameId = (a: unknown, b: unknown): boolean =>
  typeof a === "string" && typeof b === "string" && a.toLowerCase() === b.toLowerCase();

export function createEstate(platform: Platform, operations: Operations, failures: Failures): Estate {
  const counters = platform.collection<number>("arm.counters");
  const resourcesOf = (type: string): Collection<Stored> => platform.collection(`arm.${type.toLowerCase()}`);
  return {
    platform,
    operations,
    failures,
    resourceGroups: platform.collection("arm.resourceGroups"),
    guests: platform.collection("arm.guests"),
    roleAssignments: platform.collection("arm.roleAssignments"),
    deletedVaults: platform.collection("arm.deletedVaults"),
    next: (purpose) => {
      const number = (counters.get(purpose) ?? 0) + 1;
      counters.set(purpose, number);
      return number;
    },
    resource: (id) => {
      const type = typeOfId(id);
      return type === undefined ? undefined : resourcesOf(type).get(keyOf(id));
    },
    ofType: (type) => resourcesOf(type).values(),
    save: (resource) => resourcesOf(resource.type).set(keyOf(resource.id), resource),
    remove: (id) => {
      const type = typeOfId(id);
      if (type !== undefined) resourcesOf(type).delete(keyOf(id));
    },
    subscription: (subscriptionId) => {
      const organization = platform.organizations
        .values()
        .find((candidate) => candidate.subscriptionId?.toLowerCase() === subscriptionId.toLowerCase());
      return organization?.subscriptionId === undefined
        ? undefined
        : { ...organization, subscriptionId: organization.subscriptionId };
    },
    duration: (seconds) => seconds * 1000 * platform.tempo,
  };
}

export interface ResourceId {
  subscriptionId: string;
  resourceGroup: string;
  namespace: string;
  /** Type and name in turn: `virtualNetworks`, `gateway`, `subnets`, `default`. */
  segments: string[];
}

/** Undefined when the text is not the id of a resource in a resource group. */
export function parseResourceId(id: string): ResourceId | undefined {
  // The last provider counts: an extension resource's id begins with the id of what it extends.
  const parts = /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)(?:\/.+)?\/providers\/([^/]+)\/(.+)$/i.exec(id);
  const [, subscriptionId, resourceGroup, namespace, rest] = parts ?? [];
  const segments = rest?.split("/") ?? [];
  if (subscriptionId === undefined || resourceGroup === undefined || namespace === undefined) return undefined;
  return segments.length % 2 === 0 && segments.every(Boolean)
    ? { subscriptionId, resourceGroup, namespace, segments }
    : undefined;
}

/** `Microsoft.Network/virtualNetworks/subnets`, spelled as the id spells it. */
function typeOfId(id: string): string | undefined {
  const parsed = parseResourceId(id);
  return parsed && [parsed.namespace, ...parsed.segments.filter((_, index) => index % 2 === 0)].join("/");
}

export const groupIdOf = (id: string): string => id.split("/").slice(0, 5).join("/");

/** The resource that another one names, or the refusal that Azure gives. A subnet is found inside its virtual network. */
export function requireReference(
  estate: Estate,
  id: unknown,
  { path, by, location }: { path: string; by: string; location: string },
): Stored {
  const parsed = typeof id === "string" ? parseResourceId(id) : undefined;
  if (typeof id !== "string" || parsed === undefined)
    throw new ArmError(
      400,
      "LinkedInvalidPropertyId",
      `Property id '${String(id)}' at path '${path}' is invalid. Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.`,
    );
  const parentId = `${groupIdOf(id)}/providers/${parsed.namespace}/${parsed.segments.slice(0, 2).join("/")}`;
  const found = estate.resource(id) ?? nestedOwner(estate.resource(parentId), parsed.segments);
  const sameSubscription = parsed.subscriptionId.toLowerCase() === by.split("/")[2]?.toLowerCase();
  if (found === undefined || found.location !== location || !sameSubscription)
    throw new ArmError(
      400,
      "InvalidResourceReference",
      `Resource ${id} referenced by resource ${by} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
    );
  const running = estate.operations.runningOn(found.id);
  if (running !== undefined && !sameId(found.id, by))
    throw new ArmError(
      429,
      "ReferencedResourceNotProvisioned",
      `Cannot proceed with operation because resource ${id} used by resource ${by} is not in Succeeded state. Resource is in ${running.kind === "delete" ? "Deleting" : "Updating"} state and the last operation that updated/is updating the resource is ${running.name}.`,
      { headers: { "retry-after": "1" } },
    );
  return found;
}

function nestedOwner(parent: Stored | undefined, segments: string[]): Stored | undefined {
  const [, , collection, name] = segments;
  if (parent === undefined || collection === undefined) return undefined;
  const children = parent.body.properties[collection];
  if (!Array.isArray(children)) return undefined;
  return children.some((child) => sameId((child as Json)["name"], name)) ? parent : undefined;
}

/** Azure DNS' ETag, without quotes. */
export const newGuidEtag = (): string => randomUUID();

/** Network's weak ETag: a new one at each change. */
export const newEtag = (): string => `W/"${randomUUID()}"`;
