/** Which VM sizes a region has for a subscription, and which of them a gateway takes (mission A3): by rule, never by a fixed name. */
import type { ResourceSku } from "@azure/arm-compute";
import type { Observed } from "../resources/resource.ts";
import type { Azure } from "./client.ts";
import type { Subscription } from "./place.ts";

export interface Size {
  /** For example `Standard_D4as_v5`. */
  name: string;
  /** The quota that it counts in, for example `standardDASv5Family`. */
  family: string;
  virtualCpus: number;
  memoryInGigabytes: number;
  /** Boots machines of generation 2 with Trusted Launch. */
  trustedLaunch: boolean;
  premiumDisks: boolean;
  /** Zones in which this subscription may have it. */
  zones: string[];
  /** False where the region has it, but not for this subscription. */
  available: boolean;
}

export interface Minimum {
  virtualCpus: number;
  memoryInGigabytes: number;
}

/** Source: "Resource SKUs - List"; one read of some hundred kilobytes. */
export async function sizesIn(azure: Azure, subscription: Subscription, region: string): Promise<Observed<Size[]>> {
  return azure.read(subscription, async (clients) => {
    const sizes: Size[] = [];
    for await (const sku of (await clients.compute()).resourceSkus.list({ filter: `location eq '${region}'` }))
      if (sku.resourceType === "virtualMachines") sizes.push(sizeOf(sku));
    return sizes;
  });
}

/** The sizes of a region, by its name. */
export type SizeLists = (region: string) => Promise<Observed<Size[]>>;

/** Reads each region's list once, for whoever has several questions about it. */
export function sizeLists(azure: Azure, subscription: Subscription): SizeLists {
  const lists = new Map<string, Promise<Observed<Size[]>>>();
  return (region) => {
    const list = lists.get(region) ?? sizesIn(azure, subscription, region);
    lists.set(region, list);
    return list;
  };
}

function sizeOf({ name = "", family = "", capabilities = [], locationInfo = [], restrictions = [] }: ResourceSku): Size {
  const ability = (wanted: string): string => capabilities.find((one) => one.name === wanted)?.value ?? "";
  const restricted = new Set(
    restrictions.flatMap(({ type, restrictionInfo }) => (type === "Zone" ? (restrictionInfo?.zones ?? []) : [])),
  );
  return {
    name,
    family,
    virtualCpus: Number(ability("vCPUs")),
    memoryInGigabytes: Number(ability("MemoryGB")),
    trustedLaunch:
      /\bV2\b/.test(ability("HyperVGenerations")) &&
      ability("TrustedLaunchDisabled") !== "True" &&
      /^(x64)?$/i.test(ability("CpuArchitectureType")),
    premiumDisks: ability("PremiumIO") === "True",
    zones: (locationInfo[0]?.zones ?? []).filter((zone) => !restricted.has(zone)).sort(),
    available: !restrictions.some(({ type }) => type === "Location"),
  };
}

/** What a machine asks of a size. */
export interface Demand {
  minimum: Minimum;
  premiumDisks: boolean;
}

/** Large enough, of generation 2, for disks of that kind, and not withheld from the subscription. */
export const fits = (size: Size, { minimum, premiumDisks }: Demand): boolean =>
  size.available &&
  size.trustedLaunch &&
  (size.premiumDisks || !premiumDisks) &&
  size.virtualCpus >= minimum.virtualCpus &&
  size.memoryInGigabytes >= minimum.memoryInGigabytes;

/** General purpose, x64, without accelerators: `D`, then processors, `a` for AMD, `l` for little memory, `d` for a local disk, `s`. */
const GENERAL_PURPOSE = /^Standard_D\d+(?<amd>a?)l?(?<localDisk>d?)s_v(?<version>[5-9])$/;

/**
 * Sizes by price class, the cheapest first. Azure's list of sizes names no prices, and these hold in every region: fewer processors cost
 * less than more, AMD less than Intel, no local disk less than one, less memory less than more; of equals, the older has the wider quota.
 */
export const byPrice = (sizes: Size[]): Size[] =>
  sizes
    .filter(({ name }) => GENERAL_PURPOSE.test(name))
    .map((size) => ({ size, rank: rankOf(size) }))
    .sort((one, other) => {
      const index = one.rank.findIndex((value, position) => value !== other.rank[position]);
      return index === -1 ? one.size.name.localeCompare(other.size.name) : (one.rank[index] ?? 0) - (other.rank[index] ?? 0);
    })
    .map(({ size }) => size);

function rankOf({ name, virtualCpus, memoryInGigabytes }: Size): number[] {
  const { amd, localDisk, version } = GENERAL_PURPOSE.exec(name)?.groups ?? {};
  return [virtualCpus, localDisk ? 1 : 0, amd ? 0 : 1, memoryInGigabytes, Number(version)];
}
