/**
 * GET Microsoft.Compute/skus: sizes, kinds of disks and availability sets with their abilities and restrictions, in one region when
 * `$filter=location eq '…'` asks so. Source: ComputeRP's skus.json, "Resource SKUs - List".
 */
import { FAULT_DOMAINS } from "./availability-sets.ts";
import { diskKinds, diskKindsIn, regions, sizes, type VirtualMachineSize } from "./catalog.ts";
import { ArmError, type Json } from "./envelope.ts";

export function skus(filter: string | null): Json[] {
  const match = filter === null ? undefined : /^location eq '([a-z0-9]+)'$/i.exec(filter);
  if (match === null)
    throw new ArmError(400, "InvalidParameter", `The value of parameter $filter is invalid: '${filter}'.`, { target: "$filter" });
  const asked = match?.[1]?.toLowerCase();
  return Object.keys(regions)
    .filter((region) => asked === undefined || region === asked)
    .flatMap((region) => [
      setSku(region),
      ...diskKinds.filter(({ name }) => diskKindsIn(region).includes(name)).flatMap((kind) => diskSkus(kind, region)),
      ...sizes.filter(({ missingIn }) => !missingIn?.includes(region)).map((size) => sizeSku(size, region)),
    ]);
}

const zonesOf = (region: string): string[] => regions[region]?.zones ?? [];

const setSku = (region: string): Json => ({
  resourceType: "availabilitySets",
  name: "Aligned",
  locations: [region],
  locationInfo: [{ location: region, zones: [], zoneDetails: [] }],
  capabilities: [{ name: "MaximumPlatformFaultDomainCount", value: String(FAULT_DOMAINS) }],
  restrictions: [],
});

/** Two of the sizes that each kind comes in, of 128 and 256 GiB. */
const diskSkus = ({ name, zoneRedundant }: (typeof diskKinds)[number], region: string): Json[] =>
  [
    { size: "10", gigabytes: 128 },
    { size: "15", gigabytes: 256 },
  ].map(({ size, gigabytes }) => ({
    resourceType: "disks",
    name,
    tier: name.replace(/SSD|_.*$/g, ""),
    size: `${name.startsWith("Premium") ? "P" : name.startsWith("Standard_") ? "S" : "E"}${size}`,
    locations: [region],
    locationInfo: [{ location: region, zones: zoneRedundant ? [] : zonesOf(region), zoneDetails: [] }],
    capabilities: [{ name: "MaxSizeGiB", value: String(gigabytes) }],
    restrictions: [],
  }));

const sizeSku = (size: VirtualMachineSize, region: string): Json => ({
  resourceType: "virtualMachines",
  name: size.name,
  tier: "Standard",
  size: size.name.replace("Standard_", ""),
  family: size.family,
  locations: [region],
  locationInfo: [{ location: region, zones: zonesOf(region), zoneDetails: [] }],
  capabilities: [
    { name: "vCPUs", value: String(size.virtualCpus) },
    { name: "vCPUsAvailable", value: String(size.virtualCpus) },
    { name: "MemoryGB", value: String(size.memoryInGigabytes) },
    { name: "HyperVGenerations", value: size.generations },
    { name: "PremiumIO", value: size.premiumDisks === false ? "False" : "True" },
    { name: "CpuArchitectureType", value: "x64" },
    { name: "DiskControllerTypes", value: size.controllers ?? "SCSI" },
    { name: "AcceleratedNetworkingEnabled", value: "True" },
    ...(size.trustedLaunch ? [] : [{ name: "TrustedLaunchDisabled", value: "True" }]),
  ],
  restrictions: restrictionsOf(size, region),
});

function restrictionsOf({ restrictedIn, restrictedZones }: VirtualMachineSize, region: string): Json[] {
  const reasonCode = "NotAvailableForSubscription";
  const zones = restrictedZones?.[region] ?? [];
  return [
    ...(restrictedIn?.includes(region)
      ? [{ type: "Location", values: [region], restrictionInfo: { locations: [region] }, reasonCode }]
      : []),
    ...(zones.length > 0
      ? [{ type: "Zone", values: [region], restrictionInfo: { locations: [region], zones }, reasonCode }]
      : []),
  ];
}
