/** Names of a tenant's cloud objects: derived once from partner, tenant and regions, checked, stored by the caller, never recomputed. */
import { createHash } from "node:crypto";
import { ControlPlaneError } from "../errors.ts";

export interface NameSource {
  partnerId: string;
  tenantId: string;
  /** The first one is the tenant's main region, where its vault and its gateways' identity are. */
  regions: readonly { name: string; machines: number }[];
  /** The region that the tenant named first, ever; by default the first of `regions`. */
  home?: string | undefined;
  /** Machines of other products that the tenant has. */
  roles?: readonly MachineRole[] | undefined;
}

/** What a machine beside the gateways is for. */
export type MachineRole = "keyManager" | "ucm";

/** What a machine's own objects are called. */
export interface MachineNames {
  virtualMachine: string;
  /** The machine's own name inside Windows. */
  computerName: string;
  networkInterface: string;
  publicIpAddress: string;
  /** Unique in the region: `{label}.{region}.{suffix}`. */
  dnsLabel: string;
}

export type AddressNames = Pick<MachineNames, "publicIpAddress" | "dnsLabel">;

/** Mission A8: a machine beside the gateways, in the home region's resource group and subnet. */
export interface RoleNames extends MachineNames {
  networkSecurityGroup: string;
  /** Its own: it reads nothing of the gateways' secrets. */
  vmIdentity: string;
}

/** Mission A1: one resource group and one network for each region. */
export interface RegionNames {
  /** Azure's own name of the region, for example `westeurope`. */
  region: string;
  resourceGroup: string;
  virtualNetwork: string;
  subnet: string;
  networkSecurityGroup: string;
  /** The subnet's own, where machines of other products are open to the internet: each machine's group lets in less. */
  subnetSecurityGroup: string;
  availabilitySet: string;
  loadBalancer: string;
  loadBalancerAddress: string;
  loadBalancerLabel: string;
  /** Mission A4. Unique in the whole cloud environment. */
  diagnosticsAccount: string;
  machines: MachineNames[];
}

export interface Names {
  /** Unique in the whole cloud environment. */
  vault: string;
  vmIdentity: string;
  /** `uniqueName` of the WebClient's application in the customer's Entra tenant. */
  webClientUniqueName: string;
  /** Mission D2, D3: of the applications beside it. The last one also names what Exchange Online has of it. */
  powerShellUniqueName: string;
  exchangeWebServicesUniqueName: string;
  /** Mission A9. The server's is unique in the whole cloud environment. */
  sqlServer: string;
  iqSuiteDatabase: string;
  webClientDatabase: string;
  dataCollectionRule: string;
  /** Say whose they are: neither can be tagged. */
  dataCollectionAssociation: string;
  diagnosticSetting: string;
  /** Where vault and identity are: the first region that the tenant ever named. */
  home: { region: string; resourceGroup: string };
  /** In the order of the spec. */
  regions: RegionNames[];
  roles?: Partial<Record<MachineRole, RoleNames>>;
  /** What a person made, where it can't be changed, or is a name that the person gave: values by the paths of differences, by object. */
  asMade?: Record<string, Record<string, unknown>>;
}

type NameRole =
  | keyof Omit<Names, "home" | "regions" | "roles" | "asMade">
  | keyof Omit<RegionNames, "region" | "machines">
  | keyof MachineNames;

const networkName = /^(?=.{1,80}$)[a-z0-9]([a-z0-9._-]*[a-z0-9_])?$/;
const databaseName = /^[a-z][a-z0-9_-]{0,127}$/;
const monitorName = /^(?=.{3,64}$)[a-z][a-z0-9-]*[a-z0-9]$/;
const dnsLabel = /^[a-z][a-z0-9-]{1,61}[a-z0-9]$/;
const uniqueName = (longest: number): RegExp => new RegExp(`^(?=.{1,${longest}}$)[a-z0-9][a-z0-9-]*[a-z0-9]$`);

/**
 * Mission A1: resources can't be renamed later, so a name that breaks a rule must be found before anything is created.
 * Source of lengths and charsets: Microsoft's "Naming rules and restrictions for Azure resources"; Windows' NetBIOS limit of 15.
 */
export const nameRules: Record<NameRole, RegExp> = {
  resourceGroup: /^(?=.{1,90}$)[a-z0-9._()-]*[a-z0-9_()-]$/,
  vault: /^(?=.{3,24}$)[a-z](-?[a-z0-9])*$/,
  vmIdentity: /^[a-z0-9][a-z0-9_-]{2,127}$/,
  virtualNetwork: /^(?=.{2,64}$)[a-z0-9][a-z0-9._-]*[a-z0-9_]$/,
  subnet: networkName,
  networkSecurityGroup: networkName,
  subnetSecurityGroup: networkName,
  publicIpAddress: networkName,
  dnsLabel,
  networkInterface: networkName,
  availabilitySet: networkName,
  loadBalancer: networkName,
  loadBalancerAddress: networkName,
  loadBalancerLabel: dnsLabel,
  diagnosticsAccount: /^[a-z0-9]{3,24}$/,
  virtualMachine: /^(?=.{1,64}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
  computerName: /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
  sqlServer: /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
  iqSuiteDatabase: databaseName,
  webClientDatabase: databaseName,
  // Azure publishes none for these three: shorter and plainer than any that it has been seen to take.
  dataCollectionRule: monitorName,
  dataCollectionAssociation: monitorName,
  diagnosticSetting: monitorName,
  webClientUniqueName: uniqueName(128),
  powerShellUniqueName: uniqueName(128),
  // Exchange Online's limit for names of scopes and role assignments.
  exchangeWebServicesUniqueName: uniqueName(64),
};

/** Pure. What must be unique beyond the resource group carries a hash of partner, tenant and region. */
export function namesOf({ partnerId, tenantId, regions, home = regions[0]?.name ?? "", roles = [] }: NameSource): Names {
  const label = labelOf(tenantId);
  const main = hashOf(partnerId, tenantId, home);
  const resourceGroupIn = (region: string, tag: string): string => `gatehouse-${label}-${region}-${tag}`;
  return {
    home: { region: home, resourceGroup: resourceGroupIn(home, main) },
    ...checked({
      vault: `${shortened(label, 17)}-${main}`,
      vmIdentity: "gateway-identity",
      sqlServer: `${shortened(label, 52)}-${main}-sql`,
      iqSuiteDatabase: "iqsuite",
      webClientDatabase: "webclient",
      dataCollectionRule: "gateway-collection",
      dataCollectionAssociation: `gatehouse-${label}-${hashOf(partnerId, tenantId)}`,
      diagnosticSetting: `gatehouse-${label}-${hashOf(partnerId, tenantId)}`,
      webClientUniqueName: `gatehouse-webclient-${label}-${hashOf(partnerId, tenantId)}`,
      powerShellUniqueName: `gatehouse-powershell-${label}-${hashOf(partnerId, tenantId)}`,
      exchangeWebServicesUniqueName: `gatehouse-ews-${label}-${hashOf(partnerId, tenantId)}`,
    }),
    regions: regions.map(({ name: region, machines }) => {
      const tag = hashOf(partnerId, tenantId, region);
      return {
        region,
        ...checked({
          resourceGroup: resourceGroupIn(region, tag),
          virtualNetwork: "gateway-network",
          subnet: "gateways",
          networkSecurityGroup: "gateway-security",
          subnetSecurityGroup: "gateways-security",
          availabilitySet: "gateway-set",
          loadBalancer: "gateway-balancer",
          loadBalancerAddress: "gateway-balancer-address",
          loadBalancerLabel: `${shortened(label, 53)}-${tag}-lb`,
          diagnosticsAccount: `${label.replaceAll("-", "").slice(0, 14)}${tag}diag`,
        }),
        machines: Array.from({ length: machines }, (_, index) =>
          machineNames(label, tag, index + 1, region === home ? "" : `-${region}`),
        ),
      };
    }),
    ...(roles.length === 0 ? {} : { roles: Object.fromEntries(roles.map((role) => [role, roleNames(role, label, main)])) }),
  };
}

const roleWords = {
  keyManager: { long: "keymanager", short: "km" },
  ucm: { long: "ucm", short: "ucm" },
} as const satisfies Record<MachineRole, { long: string; short: string }>;

function roleNames(role: MachineRole, label: string, tag: string): RoleNames {
  const { long, short } = roleWords[role];
  return checked({
    virtualMachine: long,
    computerName: `${short}-${tag}`,
    networkInterface: `${long}-interface`,
    publicIpAddress: `${long}-address`,
    dnsLabel: `${shortened(label, 53)}-${tag}-${short}`,
    networkSecurityGroup: `${long}-security`,
    vmIdentity: `${long}-identity`,
  });
}

/** @param number from 1. The machine's own name is one in the tenant, since its partner knows it by that. */
const machineNames = (label: string, tag: string, number: number, where: string): MachineNames =>
  checked({
    virtualMachine: `gateway${where}-${number}`,
    computerName: `gw-${tag}-${number}`,
    networkInterface: `gateway-${number}-interface`,
    publicIpAddress: `gateway-${number}-address`,
    dnsLabel: number === 1 ? `${shortened(label, 56)}-${tag}` : `${shortened(label, 53)}-${tag}-${number}`,
  });

/** Another address of a machine: a name and a label that none of its addresses had. @param number from 2 */
export function namesOfAddress({ publicIpAddress, dnsLabel: label }: AddressNames, number: number): AddressNames {
  const suffix = `-a${number}`;
  // What makes a label unique stands at its end; what a person reads gives way.
  const [, read = "", unique = ""] = /^(.*?)(-[a-z0-9]{6}(?:-\d+)?)$/.exec(label.replace(/-a\d+$/, "")) ?? ["", label];
  return checked({
    publicIpAddress: `${publicIpAddress.replace(/(-address)-\d+$/, "$1")}-${number}`,
    dnsLabel: `${shortened(read, 63 - unique.length - suffix.length)}${unique}${suffix}`,
  });
}

function checked<Role extends NameRole>(names: Record<Role, string>): Record<Role, string> {
  for (const [role, name] of Object.entries(names) as [Role, string][])
    if (!nameRules[role].test(name))
      throw new ControlPlaneError("NameInvalid", `the name '${name}' breaks Azure's rules for a ${role}`, 400, false, {
        target: role,
      });
  return names;
}

/** A vault's name has no two dashes in a row and none at its end. */
const labelOf = (tenantId: string): string => tenantId.replace(/-+/g, "-").replace(/^-|-$/g, "");
const shortened = (label: string, length: number): string => label.slice(0, length).replace(/-$/, "");

/** Six characters of base 36: two billion values, and a collision is found as a stranger's object, not overwritten. */
function hashOf(...parts: string[]): string {
  const digest = createHash("sha256").update(JSON.stringify(parts)).digest();
  return (digest.readBigUInt64BE(0) % 36n ** 6n).toString(36).padStart(6, "0");
}
