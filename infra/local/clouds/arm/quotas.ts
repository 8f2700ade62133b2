/**
 * What a subscription may have in a region and how much of it is used: GET …/locations/{location}/usages of Compute and Network, and the
 * refusals when a write would exceed it. Names are Azure's; limits are those of a new subscription of its kind ("Azure subscription and
 * service limits, quotas, and constraints"), unless `POST /azure/quotas` set others.
 */
import * as z from "zod";
import type { Organization } from "../simulator.ts";
import { sizeNamed, sizes } from "./catalog.ts";
import { ArmError, type Json } from "./envelope.ts";
import { sameId, type Estate, type Stored } from "./estate.ts";
import { quotaExceeded } from "./failures.ts";

export const quotaSchema = z.strictObject({
  subscriptionId: z.guid(),
  location: z.string().min(1),
  /** Azure's name, such as `cores`, `standardDASv5Family` or `PublicIPAddresses`. */
  name: z.string().min(1),
  limit: z.number().int().min(0),
});

const cores: Record<Organization["offer"], number> = { EnterpriseAgreement: 350, CSP: 350, PayAsYouGo: 20 };

interface Quota {
  name: string;
  displayName: string;
  used: number;
  limit: number;
}

const networkQuotas: [name: string, displayName: string, type: string, limit: number][] = [
  ["VirtualNetworks", "Virtual Networks", "Microsoft.Network/virtualNetworks", 1000],
  ["NetworkInterfaces", "Network Interfaces", "Microsoft.Network/networkInterfaces", 65_536],
  ["NetworkSecurityGroups", "Network Security Groups", "Microsoft.Network/networkSecurityGroups", 5000],
  ["LoadBalancers", "Load Balancers", "Microsoft.Network/loadBalancers", 1000],
  ["PublicIPAddresses", "Public IP Addresses", "Microsoft.Network/publicIPAddresses", 1000],
  ["StandardSkuPublicIpAddresses", "Public IPv4 Addresses - Standard", "Microsoft.Network/publicIPAddresses", 1000],
];

export interface Region {
  subscriptionId: string;
  location: string;
}

export function setQuota(estate: Estate, { subscriptionId, location, name, limit }: z.output<typeof quotaSchema>): void {
  estate.platform.collection<number>("arm.quotas").set(quotaKey({ subscriptionId, location }, name), limit);
}

const quotaKey = ({ subscriptionId, location }: Region, name: string): string =>
  `${subscriptionId}/${location}/${name}`.toLowerCase();

const limitOf = (estate: Estate, region: Region, name: string, otherwise: number): number =>
  estate.platform.collection<number>("arm.quotas").get(quotaKey(region, name)) ?? otherwise;

const within = ({ subscriptionId, location }: Region, { id, location: where }: Stored): boolean =>
  where === location && sameId(id.split("/")[2], subscriptionId);

/** Deallocated machines keep their cores here, as in Azure: what counts is that they exist. */
function coresUsed(estate: Estate, region: Region, except?: string): Map<string, number> {
  const used = new Map<string, number>();
  for (const machine of estate.ofType("Microsoft.Compute/virtualMachines")) {
    if (!within(region, machine) || sameId(machine.id, except)) continue;
    const { vmSize } = (machine.body.properties["hardwareProfile"] ?? {}) as { vmSize?: string };
    const size = sizeNamed(vmSize ?? "");
    if (size === undefined) continue;
    for (const name of ["cores", size.family]) used.set(name, (used.get(name) ?? 0) + size.virtualCpus);
  }
  return used;
}

export function computeUsages(estate: Estate, region: Region): Json[] {
  const used = coresUsed(estate, region);
  const offer = estate.subscription(region.subscriptionId)?.offer ?? "PayAsYouGo";
  const machines = estate.ofType("Microsoft.Compute/virtualMachines").filter((machine) => within(region, machine)).length;
  const sets = estate.ofType("Microsoft.Compute/availabilitySets").filter((set) => within(region, set)).length;
  const quotas: Quota[] = [
    { name: "availabilitySets", displayName: "Availability Sets", used: sets, limit: 2500 },
    { name: "cores", displayName: "Total Regional vCPUs", used: used.get("cores") ?? 0, limit: cores[offer] },
    { name: "virtualMachines", displayName: "Virtual Machines", used: machines, limit: 25_000 },
    ...[...new Set(sizes.map(({ family }) => family))].map((family) => ({
      name: family,
      displayName: familyName(family),
      used: used.get(family) ?? 0,
      limit: cores[offer],
    })),
  ];
  return quotas.map((quota) => shown({ ...quota, limit: limitOf(estate, region, quota.name, quota.limit) }));
}

export function networkUsages(estate: Estate, region: Region): Json[] {
  return networkQuotas.map(([name, displayName, type, limit]) => ({
    id: `/subscriptions/${region.subscriptionId}/providers/Microsoft.Network/locations/${region.location}/usages/${name}`,
    ...shown({ name, displayName, used: usedOf(estate, region, type), limit: limitOf(estate, region, name, limit) }),
  }));
}

const usedOf = (estate: Estate, region: Region, type: string): number =>
  estate.ofType(type).filter((resource) => within(region, resource)).length;

const shown = ({ name, displayName, used, limit }: Quota): Json => ({
  unit: "Count",
  currentValue: used,
  limit,
  name: { value: name, localizedValue: displayName },
});

/** `standardDASv5Family` is shown as `Standard DASv5 Family vCPUs`. */
const familyName = (family: string): string => `${family.replace(/^standard(.+)Family$/i, "Standard $1 Family")} vCPUs`;

/** 409 unless region and family have room for a machine of this size; a machine that is there already gives back its own. */
export function checkCores(estate: Estate, region: Region, { vmSize, id }: { vmSize: string; id: string }): void {
  const size = sizeNamed(vmSize);
  if (size === undefined) return;
  const used = coresUsed(estate, region, id);
  const offer = estate.subscription(region.subscriptionId)?.offer ?? "PayAsYouGo";
  for (const [name, quota] of [
    ["cores", "Total Regional Cores"],
    [size.family, `${size.family} Cores`],
  ] as const) {
    const limit = limitOf(estate, region, name, cores[offer]);
    const usage = used.get(name) ?? 0;
    if (usage + size.virtualCpus > limit)
      throw new ArmError(
        409,
        "OperationNotAllowed",
        quotaExceeded(quota, { location: region.location, limit, usage, required: size.virtualCpus }),
      );
  }
}

/** Codes from public reports: `PublicIPCountLimitReached`, `NetworkInterfaceCountLimitReached` and so on follow one pattern. */
export function checkNetworkCount(estate: Estate, region: Region, type: string): void {
  for (const [name, , counted, otherwise] of networkQuotas) {
    if (counted !== type) continue;
    const limit = limitOf(estate, region, name, otherwise);
    if (usedOf(estate, region, type) < limit) continue;
    const noun = name === "StandardSkuPublicIpAddresses" || name === "PublicIPAddresses" ? "PublicIP" : name.replace(/s$/, "");
    throw new ArmError(
      400,
      `${noun}CountLimitReached`,
      `Cannot create more than ${limit} ${noun === "PublicIP" ? "public IP addresses" : name} for this subscription in this region.`,
    );
  }
}
