/** Microsoft.Network/networkInterfaces: where subnet, public address, security group and virtual machine meet. */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, textOf, type Json } from "./envelope.ts";
import { groupIdOf, newEtag, requireReference, sameId, type Estate, type Stored } from "./estate.ts";
import type { Put, ResourceType } from "./resource-type.ts";
import { rangeOf, subnetIn } from "./virtual-networks.ts";

const subResourceSchema = z.looseObject({ id: z.string() });

const networkInterfaceSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({
    ipConfigurations: z
      .array(
        z.looseObject({
          name: z.string().min(1).max(80),
          properties: z.looseObject({
            subnet: subResourceSchema,
            publicIPAddress: subResourceSchema.optional(),
            privateIPAddress: z.string().optional(),
            privateIPAllocationMethod: z.enum(["Dynamic", "Static"]).default("Dynamic"),
            primary: z.boolean().optional(),
            loadBalancerBackendAddressPools: z.array(subResourceSchema).default([]),
          }),
        }),
      )
      .min(1),
    networkSecurityGroup: subResourceSchema.optional(),
    enableAcceleratedNetworking: z.boolean().default(false),
    enableIPForwarding: z.boolean().default(false),
  }),
});

const type = "Microsoft.Network/networkInterfaces";

export const networkInterfaces = (estate: Estate): ResourceType => ({
  type,
  manner: "network",
  putInSeconds: 3,
  deleteInSeconds: 3,
  etag: "weak",
  children: ["ipConfigurations"],
  put: ({ id, name, body, existing }: Put) => {
    const { location, tags, properties } = parseBody(networkInterfaceSchema, body);
    const { networkSecurityGroup, ipConfigurations, enableAcceleratedNetworking, enableIPForwarding } = properties;
    if (networkSecurityGroup !== undefined)
      requireReference(estate, networkSecurityGroup.id, { path: "properties.networkSecurityGroup.id", by: id, location });
    const configurations = ipConfigurations.map((configuration, index): Json => {
      const { subnet, publicIPAddress, primary, loadBalancerBackendAddressPools: pools } = configuration.properties;
      const path = `properties.ipConfigurations[${index}].properties`;
      const network = requireReference(estate, subnet.id, { path: `${path}.subnet.id`, by: id, location });
      if (publicIPAddress !== undefined) {
        requireReference(estate, publicIPAddress.id, { path: `${path}.publicIPAddress.id`, by: id, location });
        checkAddressFree(estate, publicIPAddress.id, `${id}/ipConfigurations/${configuration.name}`);
      }
      for (const [at, pool] of pools.entries())
        requireReference(estate, pool.id, { path: `${path}.loadBalancerBackendAddressPools[${at}].id`, by: id, location });
      const before = ((existing?.body.properties["ipConfigurations"] ?? []) as (Json & { properties: Json })[])[index]
        ?.properties;
      const kept = sameId((before?.["subnet"] as Json | undefined)?.["id"], subnet.id) ? before?.["privateIPAddress"] : undefined;
      return {
        name: configuration.name,
        id: `${id}/ipConfigurations/${configuration.name}`,
        etag: newEtag(),
        type: `${type}/ipConfigurations`,
        properties: {
          provisioningState: "Succeeded",
          privateIPAddress: configuration.properties.privateIPAddress ?? kept ?? freeAddress(estate, network, subnet.id),
          privateIPAllocationMethod: configuration.properties.privateIPAllocationMethod,
          privateIPAddressVersion: "IPv4",
          ...(publicIPAddress === undefined ? {} : { publicIPAddress: { id: publicIPAddress.id } }),
          ...(pools.length === 0 ? {} : { loadBalancerBackendAddressPools: pools.map((pool) => ({ id: pool.id })) }),
          subnet: { id: subnet.id },
          primary: primary ?? index === 0,
        },
      };
    });
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
          ipConfigurations: configurations,
          dnsSettings: { dnsServers: [], appliedDnsServers: [] },
          enableAcceleratedNetworking,
          enableIPForwarding,
          ...(networkSecurityGroup === undefined ? {} : { networkSecurityGroup: { id: networkSecurityGroup.id } }),
          hostedWorkloads: [],
          tapConfigurations: [],
          nicType: "Standard",
          vnetEncryptionSupported: false,
          auxiliaryMode: "None",
          auxiliarySku: "None",
        },
      },
    };
  },
  present: (resource) => {
    const user = machineUsing(estate, resource.id);
    return {
      ...resource.body,
      properties: {
        ...resource.body.properties,
        ...(user === undefined ? {} : { virtualMachine: { id: user.id }, primary: true }),
      },
    };
  },
  checkDelete: (resource) => {
    checkReservation(estate, resource, undefined);
    const user = machineUsing(estate, resource.id);
    if (user === undefined) return;
    throw new ArmError(
      400,
      "NicInUse",
      `Network Interface ${resource.id} is used by existing resource ${user.id}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic.`,
    );
  },
});

export const machineUsing = (estate: Estate, networkInterfaceId: string): Stored | undefined =>
  estate
    .ofType("Microsoft.Compute/virtualMachines")
    .find(({ body }) =>
      ((body.properties["networkProfile"] as Json | undefined)?.["networkInterfaces"] as Json[] | undefined)?.some((used) =>
        sameId(used["id"], networkInterfaceId),
      ),
    );

/** For 180 seconds after a virtual machine failed to come up, its interfaces are kept for it. Source: the text of Azure's own error. */
export function checkReservation(estate: Estate, networkInterface: Stored, virtualMachineId: string | undefined): void {
  const reservation = networkInterface.facts["reserved"] as { virtualMachineId: string; until: number } | undefined;
  if (
    reservation === undefined ||
    estate.platform.now() >= reservation.until ||
    sameId(reservation.virtualMachineId, virtualMachineId)
  )
    return;
  throw new ArmError(
    400,
    "NicReservedForAnotherVm",
    `Nic(s) in request is reserved for another Virtual Machine for 180 seconds. Please provide another nic(s) or retry after 180 seconds. Reserved VM: ${reservation.virtualMachineId}`,
  );
}

/** `user` is the ip configuration that wants the address, of an interface or of a load balancer. */
export function checkAddressFree(estate: Estate, publicIpAddressId: string, user: string): void {
  const other = configurationUsing(estate, publicIpAddressId);
  if (other === undefined || sameId(other, user)) return;
  throw new ArmError(
    400,
    "PublicIPAddressInUse",
    `Resource ${user} is referencing public IP address ${publicIpAddressId} that is already allocated to resource ${other}.`,
  );
}

/** The ip configuration of an interface or the frontend of a load balancer that has a public address. */
export const configurationUsing = (estate: Estate, publicIpAddressId: string): string | undefined =>
  [
    ["Microsoft.Network/networkInterfaces", "ipConfigurations"],
    ["Microsoft.Network/loadBalancers", "frontendIPConfigurations"],
  ]
    .flatMap(([owner = "", collection = ""]) =>
      estate.ofType(owner).flatMap(({ body }) => body.properties[collection] as (Json & { id: string; properties: Json })[]),
    )
    .find(({ properties }) => sameId((properties["publicIPAddress"] as Json | undefined)?.["id"], publicIpAddressId))?.id;

/** Azure keeps the first four addresses and the last one of a subnet for itself. */
function freeAddress(estate: Estate, network: Stored, subnetId: string): string {
  const subnet = subnetIn(network, subnetId)?.properties;
  const prefix = textOf(subnet?.["addressPrefix"], (subnet?.["addressPrefixes"] as string[] | undefined)?.[0]);
  const { first, last } = rangeOf(prefix, subnetId);
  const taken = new Set(
    estate
      .ofType(type)
      .flatMap(({ body }) => body.properties["ipConfigurations"] as (Json & { properties: Json })[])
      .filter(({ properties }) => sameId((properties["subnet"] as Json | undefined)?.["id"], subnetId))
      .map(({ properties }) => properties["privateIPAddress"]),
  );
  for (let address = first + 4; address < last; address += 1) {
    const text = [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
    if (!taken.has(text)) return text;
  }
  throw new ArmError(
    400,
    "SubnetIsFull",
    `Subnet ${subnetId.split("/").at(-1)} with address prefix ${prefix} does not have enough capacity for 1 IP addresses in ${groupIdOf(network.id)}.`,
  );
}
