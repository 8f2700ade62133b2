/** Microsoft.Network/virtualNetworks with their subnets. */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { newEtag, requireReference, sameId, type Estate, type Stored } from "./estate.ts";
import type { Put, ResourceType } from "./resource-type.ts";

const subResourceSchema = z.looseObject({ id: z.string() });

const subnetSchema = z.looseObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/),
  properties: z.looseObject({
    addressPrefix: z.string().optional(),
    addressPrefixes: z.array(z.string()).optional(),
    networkSecurityGroup: subResourceSchema.optional(),
    defaultOutboundAccess: z.boolean().optional(),
  }),
});

const virtualNetworkSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({
    addressSpace: z.looseObject({ addressPrefixes: z.array(z.string()).min(1) }),
    subnets: z.array(subnetSchema).default([]),
    enableDdosProtection: z.boolean().default(false),
  }),
});

type Subnet = z.output<typeof subnetSchema>;

const type = "Microsoft.Network/virtualNetworks";

export const virtualNetworks = (estate: Estate): ResourceType => ({
  type,
  manner: "network",
  putInSeconds: 3,
  deleteInSeconds: 3,
  etag: "weak",
  children: ["subnets"],
  put: ({ id, name, body, existing }: Put) => {
    const { location, tags, properties } = parseBody(virtualNetworkSchema, body);
    const { addressSpace, subnets, enableDdosProtection } = properties;
    checkSubnets(name, addressSpace.addressPrefixes, subnets);
    for (const { properties: subnet } of subnets)
      if (subnet.networkSecurityGroup !== undefined)
        requireReference(estate, subnet.networkSecurityGroup.id, {
          path: "properties.subnets[].properties.networkSecurityGroup.id",
          by: id,
          location,
        });
    for (const subnet of (existing?.body.properties["subnets"] ?? []) as Json[])
      if (!subnets.some((kept) => sameId(kept.name, subnet["name"]))) checkSubnetUnused(estate, String(subnet["id"]));
    return {
      location,
      body: {
        name,
        id,
        type,
        location,
        ...(tags === undefined ? {} : { tags }),
        properties: {
          resourceGuid: existing?.body.properties["resourceGuid"] ?? randomUUID(),
          addressSpace: { addressPrefixes: addressSpace.addressPrefixes },
          subnets: subnets.map((subnet) => subnetBody(id, subnet)),
          virtualNetworkPeerings: [],
          enableDdosProtection,
        },
      },
    };
  },
  present: (resource) => ({
    ...resource.body,
    properties: {
      ...resource.body.properties,
      subnets: (resource.body.properties["subnets"] as (Json & { properties: Json })[]).map((subnet) => {
        const ipConfigurations = configurationsIn(estate, String(subnet["id"])).map((id) => ({ id }));
        return {
          ...subnet,
          properties: { ...subnet.properties, ...(ipConfigurations.length === 0 ? {} : { ipConfigurations }) },
        };
      }),
    },
  }),
  checkDelete: (resource) => {
    for (const subnet of resource.body.properties["subnets"] as Json[]) checkSubnetUnused(estate, String(subnet["id"]));
  },
});

function checkSubnets(network: string, spaces: string[], subnets: Subnet[]): void {
  const seen: { name: string; first: number; last: number }[] = [];
  const ranges = spaces.map((space) => rangeOf(space, network));
  for (const { name, properties } of subnets) {
    for (const prefix of properties.addressPrefixes ?? [properties.addressPrefix ?? ""]) {
      const { first, last } = rangeOf(prefix, name);
      if (!ranges.some((space) => first >= space.first && last <= space.last))
        throw new ArmError(400, "NetcfgInvalidSubnet", `Subnet '${name}' is not valid in virtual network '${network}'.`);
      if (seen.some((other) => first <= other.last && last >= other.first))
        throw new ArmError(
          400,
          "NetcfgSubnetRangesOverlap",
          `Subnet '${name}' is not valid because its IP address range overlaps with that of an existing subnet in virtual network '${network}'.`,
        );
      seen.push({ name, first, last });
    }
  }
}

/** First and last address of a CIDR range as numbers. */
export function rangeOf(prefix: string, subject: string): { first: number; last: number } {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(prefix);
  const octets = match?.slice(1, 5).map(Number) ?? [];
  const bits = Number(match?.[5]);
  const address = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  const size = 2 ** (32 - bits);
  if (match === null || octets.some((octet) => octet > 255) || bits > 32 || address % size !== 0)
    throw new ArmError(
      400,
      "InvalidCIDRNotation",
      `The address prefix ${prefix} in resource ${subject} has an invalid CIDR notation. For the given prefix length, the address prefix should be a network address.`,
    );
  return { first: address, last: address + size - 1 };
}

const subnetBody = (networkId: string, { name, properties }: Subnet): Json => ({
  name,
  id: `${networkId}/subnets/${name}`,
  etag: newEtag(),
  type: `${type}/subnets`,
  properties: {
    delegations: [],
    privateEndpointNetworkPolicies: "Disabled",
    privateLinkServiceNetworkPolicies: "Enabled",
    ...properties,
    ...(properties.networkSecurityGroup === undefined
      ? {}
      : { networkSecurityGroup: { id: properties.networkSecurityGroup.id } }),
    ipConfigurations: undefined,
    provisioningState: "Succeeded",
  },
});

export const configurationsIn = (estate: Estate, subnetId: string): string[] =>
  estate
    .ofType("Microsoft.Network/networkInterfaces")
    .flatMap(({ body }) => body.properties["ipConfigurations"] as (Json & { id: string; properties: Json })[])
    .filter(({ properties }) => sameId((properties["subnet"] as Json | undefined)?.["id"], subnetId))
    .map(({ id }) => id);

function checkSubnetUnused(estate: Estate, subnetId: string): void {
  const users = configurationsIn(estate, subnetId);
  if (users.length === 0) return;
  throw new ArmError(
    400,
    "InUseSubnetCannotBeDeleted",
    `Subnet ${subnetId.split("/").at(-1)} is in use by ${users.join(", ")} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet.`,
  );
}

/** The subnet's body inside its network, by the subnet's id. */
export const subnetIn = (network: Stored, subnetId: string): (Json & { properties: Json }) | undefined =>
  (network.body.properties["subnets"] as (Json & { properties: Json })[]).find((subnet) => sameId(subnet["id"], subnetId));
