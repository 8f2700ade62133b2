/** GET Microsoft.Compute/skus: sizes with their abilities and restrictions, in one region when `$filter=location eq '…'` asks so. */
import { regions, sizes, type VirtualMachineSize } from "./catalog.ts";
import { ArmError, type Json } from "./envelope.ts";

export function skus(filter: string | null): Json[] {
  const match = filter === null ? undefined : /^location eq '([a-z0-9]+)'$/i.exec(filter);
  if (match === null)
    throw new ArmError(400, "InvalidParameter", `The value of parameter $filter is invalid: '${filter}'.`, { target: "$filter" });
  const asked = match?.[1]?.toLowerCase();
  return Object.keys(regions)
    .filter((region) => asked === undefined || region === asked)
    .flatMap((region) => sizes.filter(({ missingIn }) => !missingIn?.includes(region)).map((size) => sku(size, region)));
}

const sku = (
  { name, family, virtualCpus, memoryInGigabytes, generations, trustedLaunch, restrictedIn }: VirtualMachineSize,
  region: string,
): Json => ({
  resourceType: "virtualMachines",
  name,
  tier: "Standard",
  size: name.replace("Standard_", ""),
  family,
  locations: [region],
  locationInfo: [{ location: region, zones: regions[region]?.zones ?? [], zoneDetails: [] }],
  capabilities: [
    { name: "vCPUs", value: String(virtualCpus) },
    { name: "MemoryGB", value: String(memoryInGigabytes) },
    { name: "HyperVGenerations", value: generations },
    { name: "PremiumIO", value: "True" },
    { name: "CpuArchitectureType", value: "x64" },
    { name: "AcceleratedNetworkingEnabled", value: "True" },
    ...(trustedLaunch ? [] : [{ name: "TrustedLaunchDisabled", value: "True" }]),
  ],
  restrictions: restrictedIn?.includes(region)
    ? [
        {
          type: "Location",
          values: [region],
          restrictionInfo: { locations: [region] },
          reasonCode: "NotAvailableForSubscription",
        },
      ]
    : [],
});
