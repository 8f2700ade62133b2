/** Names of a gateway's cloud objects: derived once from partner, tenant and region, checked, stored by the caller, never recomputed. */
import { createHash } from "node:crypto";
import { ControlPlaneError } from "../errors.ts";

export interface NameSource {
  partnerId: string;
  tenantId: string;
  /** Azure's own name of the region, for example `westeurope`. */
  region: string;
}

export interface Names {
  resourceGroup: string;
  /** Unique in the whole cloud environment. */
  vault: string;
  vmIdentity: string;
  virtualNetwork: string;
  subnet: string;
  networkSecurityGroup: string;
  publicIpAddress: string;
  /** Unique in the region: `{label}.{region}.{suffix}`. */
  dnsLabel: string;
  networkInterface: string;
  virtualMachine: string;
  /** The machine's own name inside Windows. */
  computerName: string;
  /** `uniqueName` of the WebClient's application in the customer's Entra tenant; the same in every region. */
  webClientUniqueName: string;
}

/**
 * Mission A1: resources can't be renamed later, so a name that breaks a rule must be found before anything is created.
 * Source of lengths and charsets: Microsoft's "Naming rules and restrictions for Azure resources"; Windows' NetBIOS limit of 15.
 */
export const nameRules: Record<keyof Names, RegExp> = {
  resourceGroup: /^(?=.{1,90}$)[a-z0-9._()-]*[a-z0-9_()-]$/,
  vault: /^(?=.{3,24}$)[a-z](-?[a-z0-9])*$/,
  vmIdentity: /^[a-z0-9][a-z0-9_-]{2,127}$/,
  virtualNetwork: /^(?=.{2,64}$)[a-z0-9][a-z0-9._-]*[a-z0-9_]$/,
  subnet: /^(?=.{1,80}$)[a-z0-9]([a-z0-9._-]*[a-z0-9_])?$/,
  networkSecurityGroup: /^(?=.{1,80}$)[a-z0-9]([a-z0-9._-]*[a-z0-9_])?$/,
  publicIpAddress: /^(?=.{1,80}$)[a-z0-9]([a-z0-9._-]*[a-z0-9_])?$/,
  dnsLabel: /^[a-z][a-z0-9-]{1,61}[a-z0-9]$/,
  networkInterface: /^(?=.{1,80}$)[a-z0-9]([a-z0-9._-]*[a-z0-9_])?$/,
  virtualMachine: /^(?=.{1,64}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
  computerName: /^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?$/,
  webClientUniqueName: /^(?=.{1,128}$)[a-z0-9][a-z0-9-]*[a-z0-9]$/,
};

/** Pure. What must be unique beyond the resource group carries a hash of partner, tenant and region. */
export function namesOf({ partnerId, tenantId, region }: NameSource): Names {
  const label = labelOf(tenantId);
  const tag = hashOf(partnerId, tenantId, region);
  return checked({
    resourceGroup: `gatehouse-${label}-${region}-${tag}`,
    vault: `${shortened(label, 17)}-${tag}`,
    vmIdentity: "gateway-identity",
    virtualNetwork: "gateway-network",
    subnet: "gateways",
    networkSecurityGroup: "gateway-security",
    publicIpAddress: "gateway-1-address",
    dnsLabel: `${shortened(label, 56)}-${tag}`,
    networkInterface: "gateway-1-interface",
    virtualMachine: "gateway-1",
    computerName: `gw-${tag}-1`,
    webClientUniqueName: `gatehouse-webclient-${label}-${hashOf(partnerId, tenantId)}`,
  });
}

function checked(names: Names): Names {
  for (const [role, rule] of Object.entries(nameRules) as [keyof Names, RegExp][])
    if (!rule.test(names[role]))
      throw new ControlPlaneError("NameInvalid", `the name '${names[role]}' breaks Azure's rules for a ${role}`, 400, false, {
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
