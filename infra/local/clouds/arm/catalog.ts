/**
 * What Azure offers in each region: sizes with their abilities, images with their versions, zones. A small part of the real catalogue,
 * with the cases that a client must survive: a size that a region does not have, one that has no capacity, one that cannot boot
 * generation 2, an image without the SMTP Server feature.
 */

export const regions: Record<string, { displayName: string; zones: string[] }> = {
  westeurope: { displayName: "West Europe", zones: ["1", "2", "3"] },
  northeurope: { displayName: "North Europe", zones: ["1", "2", "3"] },
  germanywestcentral: { displayName: "Germany West Central", zones: ["1", "2", "3"] },
  germanynorth: { displayName: "Germany North", zones: [] },
  switzerlandnorth: { displayName: "Switzerland North", zones: ["1", "2", "3"] },
  francecentral: { displayName: "France Central", zones: ["1", "2", "3"] },
  uksouth: { displayName: "UK South", zones: ["1", "2", "3"] },
  swedencentral: { displayName: "Sweden Central", zones: ["1", "2", "3"] },
  eastus: { displayName: "East US", zones: ["1", "2", "3"] },
  eastus2: { displayName: "East US 2", zones: ["1", "2", "3"] },
  westus2: { displayName: "West US 2", zones: ["1", "2", "3"] },
};

export interface VirtualMachineSize {
  name: string;
  family: string;
  virtualCpus: number;
  memoryInGigabytes: number;
  generations: "V1" | "V1,V2" | "V2";
  trustedLaunch: boolean;
  /** Regions where it is not offered at all. */
  missingIn?: string[];
  /** Regions where it is offered but restricted for every subscription (`NotAvailableForSubscription`). */
  restrictedIn?: string[];
  /** Regions where its creation is accepted and then fails for want of capacity. */
  exhaustedIn?: string[];
  /** Zones, by region, that it is restricted in for every subscription. */
  restrictedZones?: Record<string, string[]>;
  /** Zones, by region, where its creation is accepted and then fails for want of capacity. */
  exhaustedZones?: Record<string, string[]>;
  /** Disk controllers; Windows Server 2022 boots from either. */
  controllers?: "SCSI" | "NVMe" | "SCSI, NVMe";
  /** Without it Premium and other SSDs with burst can't be attached. */
  premiumDisks?: boolean;
  burstable?: boolean;
}

const size = (
  name: string,
  family: string,
  virtualCpus: number,
  memoryInGigabytes: number,
  more: Partial<VirtualMachineSize> = {},
): VirtualMachineSize => ({ name, family, virtualCpus, memoryInGigabytes, generations: "V1,V2", trustedLaunch: true, ...more });

export const sizes: VirtualMachineSize[] = [
  size("Standard_D4as_v5", "standardDASv5Family", 4, 16),
  size("Standard_D4s_v5", "standardDSv5Family", 4, 16),
  size("Standard_D4ls_v5", "standardDLSv5Family", 4, 8, { missingIn: ["germanynorth"] }),
  size("Standard_D8as_v5", "standardDASv5Family", 8, 32),
  size("Standard_B4as_v2", "standardBasv2Family", 4, 16, { exhaustedIn: ["westus2"] }),
  size("Standard_B4ls_v2", "standardBsv2Family", 4, 8, { restrictedIn: ["westeurope"] }),
  size("Standard_F4als_v6", "standardFalsv6Family", 4, 8, { missingIn: ["germanynorth", "switzerlandnorth"] }),
  size("Standard_A4_v2", "standardAv2Family", 4, 8, { generations: "V1", trustedLaunch: false, premiumDisks: false }),
  size("Standard_B2s_v2", "standardBsv2Family", 2, 8, { burstable: true }),
  size("Standard_B4s_v2", "standardBsv2Family", 4, 16, { burstable: true }),
  size("Standard_D2s_v5", "standardDSv5Family", 2, 8),
  size("Standard_D4s_v3", "standardDSv3Family", 4, 16, { generations: "V1,V2" }),
  size("Standard_D4_v3", "standardDv3Family", 4, 16, { generations: "V1", trustedLaunch: false, premiumDisks: false }),
  size("Standard_D4ads_v5", "standardDADSv5Family", 4, 16),
  size("Standard_D4as_v6", "standardDav6Family", 4, 16, {
    controllers: "NVMe",
    missingIn: ["germanynorth", "switzerlandnorth"],
    restrictedZones: { swedencentral: ["3"] },
  }),
  size("Standard_D4als_v6", "standardDalv6Family", 4, 8, {
    controllers: "NVMe",
    missingIn: ["germanynorth", "switzerlandnorth"],
    exhaustedZones: { northeurope: ["1"] },
  }),
  size("Standard_D8s_v5", "standardDSv5Family", 8, 32),
  size("Standard_D16s_v5", "standardDSv5Family", 16, 64),
  size("Standard_E4s_v5", "standardESv5Family", 4, 32),
  size("Standard_F4s_v2", "standardFSv2Family", 4, 8),
];

/** Kinds of managed disks. A zone-redundant one needs a region with zones; the last two can't hold an operating system. */
export const diskKinds: { name: string; zoneRedundant: boolean; system: boolean }[] = [
  { name: "Standard_LRS", zoneRedundant: false, system: true },
  { name: "StandardSSD_LRS", zoneRedundant: false, system: true },
  { name: "StandardSSD_ZRS", zoneRedundant: true, system: true },
  { name: "Premium_LRS", zoneRedundant: false, system: true },
  { name: "Premium_ZRS", zoneRedundant: true, system: true },
  { name: "PremiumV2_LRS", zoneRedundant: false, system: false },
  { name: "UltraSSD_LRS", zoneRedundant: false, system: false },
];

export const diskKindsIn = (region: string): string[] =>
  diskKinds.filter(({ zoneRedundant }) => !zoneRedundant || (regions[region]?.zones.length ?? 0) > 0).map(({ name }) => name);

export const sizeNamed = (name: string): VirtualMachineSize | undefined =>
  sizes.find((known) => known.name.toLowerCase() === name.toLowerCase());

export interface PlatformImage {
  publisher: string;
  offer: string;
  sku: string;
  versions: string[];
  generation: "V1" | "V2";
  osName: string;
  osVersion: string;
  /** Windows Server 2025 no longer has the SMTP Server feature. Source: Microsoft's "Features removed or no longer developed". */
  smtpServerFeature: boolean;
  /** Has iQ.Suite in it, which sets itself up when a machine starts for the first time. */
  setsItselfUp?: boolean;
  /** A publisher's image that is bought; absent for Microsoft's own. */
  plan?: { publisher: string; product: string; name: string };
}

const windowsServer = (sku: string, versions: string[], more: Partial<PlatformImage> = {}): PlatformImage => ({
  publisher: "MicrosoftWindowsServer",
  offer: "WindowsServer",
  sku,
  versions,
  generation: "V2",
  osName: "Windows Server 2022 Datacenter Azure Edition",
  osVersion: "10.0.20348.2700",
  smtpServerFeature: true,
  ...more,
});

const versions2022 = ["20348.2340.240303", "20348.2527.240604", "20348.2700.240911"];

export const images: PlatformImage[] = [
  windowsServer("2022-datacenter-azure-edition", versions2022),
  windowsServer("2022-datacenter-azure-edition-core", versions2022),
  windowsServer("2022-datacenter-g2", versions2022, { osName: "Windows Server 2022 Datacenter" }),
  windowsServer("2022-datacenter", versions2022, { osName: "Windows Server 2022 Datacenter", generation: "V1" }),
  windowsServer("2019-datacenter-gensecond", ["17763.6054.240703", "17763.6293.240905"], {
    osName: "Windows Server 2019 Datacenter",
    osVersion: "10.0.17763.6293",
  }),
  windowsServer("2025-datacenter-azure-edition", ["26100.2314.241107"], {
    osName: "Windows Server 2025 Datacenter Azure Edition",
    osVersion: "10.0.26100.2314",
    smtpServerFeature: false,
  }),
  windowsServer("iq-suite-2022", ["1.0.0"], {
    publisher: "gatewaymaker",
    offer: "mail-gateway",
    osName: "Windows Server 2022 Datacenter",
    plan: { publisher: "gatewaymaker", product: "mail-gateway", name: "iq-suite-2022" },
    setsItselfUp: true,
  }),
];

export interface ImageReference {
  publisher: string;
  offer: string;
  sku: string;
  version: string;
}

/** The image and the exact version that `latest` means. */
export function imageOf({
  publisher,
  offer,
  sku,
  version,
}: ImageReference): { image: PlatformImage; exactVersion: string } | undefined {
  const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  const image = images.find((known) => same(known.publisher, publisher) && same(known.offer, offer) && same(known.sku, sku));
  const exactVersion = version === "latest" ? image?.versions.at(-1) : image?.versions.find((known) => known === version);
  return image === undefined || exactVersion === undefined ? undefined : { image, exactVersion };
}
