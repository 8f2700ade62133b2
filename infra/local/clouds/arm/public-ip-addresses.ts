/** Microsoft.Network/publicIPAddresses: Standard and static, with DNS labels that are unique in a region. */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, textOf, type Json } from "./envelope.ts";
import { sameId, type Estate, type Stored } from "./estate.ts";
import { configurationUsing } from "./network-interfaces.ts";
import type { Put, ResourceType } from "./resource-type.ts";

const publicIpAddressSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  /** Basic has been retired since 30 September 2025; what is not said is Standard. */
  sku: z
    .looseObject({ name: z.string().default("Standard"), tier: z.string().default("Regional") })
    .default({ name: "Standard", tier: "Regional" }),
  zones: z.array(z.string()).optional(),
  properties: z
    .looseObject({
      publicIPAllocationMethod: z.enum(["Static", "Dynamic"]).default("Dynamic"),
      publicIPAddressVersion: z.enum(["IPv4", "IPv6"]).default("IPv4"),
      idleTimeoutInMinutes: z.number().int().min(4).max(30).default(4),
      dnsSettings: z
        .looseObject({ domainNameLabel: z.string().optional(), reverseFqdn: z.string().optional() })
        .nullish()
        .transform((settings) => settings ?? undefined),
      deleteOption: z.enum(["Delete", "Detach"]).optional(),
    })
    .default({
      publicIPAllocationMethod: "Dynamic",
      publicIPAddressVersion: "IPv4",
      idleTimeoutInMinutes: 4,
      dnsSettings: undefined,
    }),
});

const type = "Microsoft.Network/publicIPAddresses";

/** The documentation range that public addresses are drawn from; the first ones stay free for other parties of the mail internet. */
const pool = { prefix: "203.0.113.", first: 10, last: 254 };

export const publicIpAddresses = (estate: Estate): ResourceType => ({
  type,
  manner: "network",
  putInSeconds: 3,
  deleteInSeconds: 3,
  etag: "weak",
  put: ({ id, name, subscriptionId, body, existing }: Put) => {
    const { location, tags, sku, zones, properties } = parseBody(publicIpAddressSchema, body);
    if (sku.name === "Basic")
      throw new ArmError(
        400,
        "IPv4BasicSkuPublicIpCountLimitReached",
        `Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region.`,
      );
    if (properties.publicIPAllocationMethod !== "Static")
      throw new ArmError(
        400,
        "StandardSkuPublicIPAddressesCannotHaveDynamicAllocation",
        `Standard sku publicIp ${id} must have AllocationMethod set to Static.`,
      );
    const before = existing?.body.properties;
    const ipAddress = textOf(before?.["ipAddress"]) || drawAddress(estate);
    const dnsSettings = dnsSettingsOf(estate, { id, location, subscriptionId, ipAddress, asked: properties.dnsSettings });
    return {
      location,
      body: {
        name,
        id,
        type,
        location,
        ...(tags === undefined ? {} : { tags }),
        sku: { name: sku.name, tier: sku.tier },
        ...(zones === undefined ? {} : { zones }),
        properties: {
          resourceGuid: before?.["resourceGuid"] ?? randomUUID(),
          ipAddress,
          publicIPAddressVersion: properties.publicIPAddressVersion,
          publicIPAllocationMethod: properties.publicIPAllocationMethod,
          idleTimeoutInMinutes: properties.idleTimeoutInMinutes,
          ...(properties.deleteOption === undefined ? {} : { deleteOption: properties.deleteOption }),
          ...(dnsSettings === undefined ? {} : { dnsSettings }),
          ipTags: [],
        },
      },
    };
  },
  present: (resource) => {
    const user = configurationUsing(estate, resource.id);
    return {
      ...resource.body,
      properties: { ...resource.body.properties, ...(user === undefined ? {} : { ipConfiguration: { id: user } }) },
    };
  },
  checkDelete: (resource) => {
    const user = configurationUsing(estate, resource.id);
    if (user === undefined) return;
    throw new ArmError(
      400,
      "PublicIPAddressCannotBeDeleted",
      `Public IP address ${resource.id} can not be deleted since it is still allocated to resource ${user}. In order to delete the public IP, disassociate/detach the Public IP address from the resource. To learn how to do this, see aka.ms/deletepublicip.`,
    );
  },
});

function drawAddress(estate: Estate): string {
  const host = pool.first + estate.next("publicAddress") - 1;
  if (host > pool.last)
    throw new ArmError(
      400,
      "PublicIPCountLimitReached",
      "Cannot create more public IP addresses: the simulator's documentation range is used up.",
    );
  return `${pool.prefix}${host}`;
}

interface DnsRequest {
  id: string;
  location: string;
  subscriptionId: string;
  ipAddress: string;
  asked: { domainNameLabel?: string | undefined; reverseFqdn?: string | undefined } | undefined;
}

function dnsSettingsOf(estate: Estate, { id, location, subscriptionId, ipAddress, asked }: DnsRequest): Json | undefined {
  if (asked === undefined) return undefined;
  const { domainNameLabel, reverseFqdn } = asked;
  if (domainNameLabel === undefined || domainNameLabel === "")
    throw new ArmError(
      400,
      "DomainNameLabelCannotBeNullOrEmpty",
      `The domain name label in the dnsSettings section of the public IP address ${id} is null or empty. If a dnsSettings section exists, its domain name label must not be null or empty.`,
    );
  if (!validLabel(domainNameLabel))
    throw new ArmError(
      400,
      "InvalidDomainNameLabel",
      `The domain name label ${domainNameLabel} is invalid. It must conform to the following regular expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.`,
    );
  const fqdn = fqdnOf(estate, domainNameLabel, location);
  if (labelHolder(estate, domainNameLabel, location, id) !== undefined)
    throw new ArmError(400, "DnsRecordInUse", `DNS record ${fqdn} is already used by another public IP.`);
  if (reverseFqdn !== undefined && reverseFqdn !== "")
    checkReverse(estate, { id, subscriptionId, reverseFqdn, own: { fqdn, ipAddress } });
  return { domainNameLabel, fqdn, ...(reverseFqdn === undefined || reverseFqdn === "" ? {} : { reverseFqdn }) };
}

const validLabel = (label: string): boolean => /^[a-z][a-z0-9-]{1,61}[a-z0-9]$/.test(label);

const fqdnOf = (estate: Estate, label: string, location: string): string =>
  `${label}.${location}.${estate.platform.environment.publicDnsSuffix}`;

const labelHolder = (estate: Estate, label: string, location: string, except: string): Stored | undefined =>
  estate
    .ofType(type)
    .find(
      (other) =>
        other.location === location &&
        !sameId(other.id, except) &&
        (other.body.properties["dnsSettings"] as Json | undefined)?.["domainNameLabel"] === label,
    );

/**
 * A reverse name must lead forward to a public address of the same subscription. Source: Microsoft's "Reverse DNS for services hosted in
 * Azure"; the code from Azure/azure-rest-api-specs#39789.
 */
function checkReverse(
  estate: Estate,
  {
    id,
    subscriptionId,
    reverseFqdn,
    own,
  }: { id: string; subscriptionId: string; reverseFqdn: string; own: { fqdn: string; ipAddress: string } },
): void {
  const name = reverseFqdn.replace(/\.$/, "").toLowerCase();
  const others = estate
    .ofType(type)
    .filter((other) => other.id.toLowerCase().startsWith(`/subscriptions/${subscriptionId.toLowerCase()}/`))
    .map(({ body: { properties } }) => ({
      fqdn: textOf((properties["dnsSettings"] as Json | undefined)?.["fqdn"]),
      ipAddress: String(properties["ipAddress"]),
    }));
  const forward = estate.platform.peers.lookup?.(name, "A") ?? [];
  if ([own, ...others].some(({ fqdn, ipAddress }) => fqdn === name || forward.includes(ipAddress))) return;
  throw new ArmError(
    400,
    "ReverseFqdnDoesNotBelongToSubscription",
    `ReverseFqdn ${reverseFqdn} that PublicIPAddress ${id.split("/").at(-1)} is trying to use does not belong to subscription ${subscriptionId}. One of the following conditions need to be met to establish ownership: 1) ReverseFqdn matches fqdn of any public ip resource under the subscription; 2) ReverseFqdn resolves to the fqdn (through CName records chain) of any public ip resource under the subscription; 3) It resolves to the ip address (through CName and A records chain) of a static public ip resource under the subscription.`,
  );
}

/** GET …/locations/{location}/CheckDnsNameAvailability?domainNameLabel=… */
export function checkDnsNameAvailability(estate: Estate, location: string, label: string | null): { available: boolean } {
  if (label === null || !validLabel(label))
    throw new ArmError(
      400,
      "InvalidDomainNameLabel",
      `The domain name label ${label ?? ""} is invalid. It must conform to the following regular expression: ^[a-z][a-z0-9-]{1,61}[a-z0-9]$.`,
    );
  return { available: labelHolder(estate, label, location.toLowerCase(), "") === undefined };
}
