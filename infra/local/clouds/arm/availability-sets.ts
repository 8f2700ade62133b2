/** Microsoft.Compute/availabilitySets: synchronous, fixed once made. Source: availabilitySet.json and "Availability sets overview". */
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, textOf, type Json } from "./envelope.ts";
import { sameId, type Estate, type Stored } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const availabilitySetSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  sku: z.looseObject({ name: z.enum(["Aligned", "Classic"]).default("Classic") }).default({ name: "Classic" }),
  properties: z
    .looseObject({
      platformFaultDomainCount: z.number().int().default(2),
      platformUpdateDomainCount: z.number().int().default(5),
    })
    .default({ platformFaultDomainCount: 2, platformUpdateDomainCount: 5 }),
});

const type = "Microsoft.Compute/availabilitySets";
/** Most of a region; `GET …/skus` tells it as `MaximumPlatformFaultDomainCount`. */
export const FAULT_DOMAINS = 3;
const UPDATE_DOMAINS = 20;

export const availabilitySets = (estate: Estate): ResourceType => ({
  type,
  manner: "sync",
  createdStatus: 200,
  put: ({ id, name, body, existing }) => {
    const { location, tags, sku, properties } = parseBody(availabilitySetSchema, body);
    const { platformFaultDomainCount, platformUpdateDomainCount } = properties;
    checkRange("platformFaultDomainCount", platformFaultDomainCount, FAULT_DOMAINS);
    checkRange("platformUpdateDomainCount", platformUpdateDomainCount, UPDATE_DOMAINS);
    for (const property of ["platformFaultDomainCount", "platformUpdateDomainCount"] as const)
      if (existing !== undefined && existing.body.properties[property] !== properties[property])
        throw new ArmError(409, "PropertyChangeNotAllowed", `Changing property '${property}' is not allowed.`, {
          target: property,
        });
    return {
      location,
      body: {
        name,
        id,
        type,
        location,
        tags: tags ?? {},
        sku: { name: sku.name },
        properties: { platformUpdateDomainCount, platformFaultDomainCount },
      },
    };
  },
  present: (resource) => ({
    ...resource.body,
    properties: {
      ...resource.body.properties,
      virtualMachines: machinesIn(estate, resource).map(({ id }) => ({ id: upperCased(id) })),
    },
  }),
  checkDelete: (resource) => {
    if (machinesIn(estate, resource).length === 0) return;
    throw new ArmError(
      409,
      "OperationNotAllowed",
      `Availability Set '${resource.name}' cannot be deleted. Before deleting an Availability Set please ensure that it does not contain any VM.`,
    );
  },
});

function checkRange(property: string, value: number, most: number): void {
  if (value >= 1 && value <= most) return;
  throw new ArmError(
    400,
    "InvalidParameter",
    `The specified ${property === "platformFaultDomainCount" ? "fault" : "update"} domain count ${value} must fall in the range 1 to ${most}.`,
    { target: property },
  );
}

/** Compute writes the names of resource group and resource in capitals in what leads from one of its resources to another. */
export const upperCased = (id: string): string =>
  id
    .replace(/(\/resourceGroups\/)([^/]+)/i, (_, key: string, name: string) => `${key}${name.toUpperCase()}`)
    .replace(/[^/]+$/, (name) => name.toUpperCase());

/** In the order of their creation, which decides their fault and update domains. */
export const machinesIn = (estate: Estate, set: Stored): Stored[] =>
  estate
    .ofType("Microsoft.Compute/virtualMachines")
    .filter(({ body }) => sameId((body.properties["availabilitySet"] as Json | undefined)?.["id"], set.id))
    .toSorted((a, b) => a.createdAt - b.createdAt || a.id.localeCompare(b.id));

/** A set of kind Classic is for machines with disks in storage accounts, which are gone. */
export function checkAligned(set: Stored): void {
  if ((set.body["sku"] as { name: string }).name === "Aligned") return;
  throw new ArmError(
    409,
    "OperationNotAllowed",
    `Addition of a managed disk to a VM in availability set '${textOf(set.name)}' is not supported: the set is not managed. Please use a set of sku 'Aligned'.`,
  );
}

/** Where Compute places a machine of a set: in turn over its domains. */
export function domainsOf(estate: Estate, machine: Stored): Json {
  const id = (machine.body.properties["availabilitySet"] as Json | undefined)?.["id"];
  const set = typeof id === "string" ? estate.resource(id) : undefined;
  if (set === undefined) return {};
  const place = machinesIn(estate, set).findIndex((one) => sameId(one.id, machine.id));
  const { platformFaultDomainCount, platformUpdateDomainCount } = set.body.properties as Record<string, number>;
  return {
    platformUpdateDomain: place % (platformUpdateDomainCount ?? 1),
    platformFaultDomain: place % (platformFaultDomainCount ?? 1),
  };
}
