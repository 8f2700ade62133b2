/** Mission A1: one network with one subnet a region for the gateways; the subnet is closed and has no outbound access by default. */
import type { Subnet, VirtualNetwork as FoundNetwork } from "@azure/arm-network";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  removeOwned,
  refuseReplacement,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName, sameId } from "../azure/place.ts";
import type { Resource } from "./resource.ts";

export type VirtualNetwork = Named & {
  addressPrefix: string;
  subnet: { name: string; addressPrefix: string };
  networkSecurityGroupId: string;
};

export interface ActualVirtualNetwork extends Provisioned {
  id: string;
  subnetId: string;
  region: string;
  /** The owned one is among them; others may have added theirs. */
  addressPrefixes: string[];
  subnetAddressPrefix: string;
  networkSecurityGroupId: string;
  /** Mail leaves through the gateway's own public address, or its reputation belongs to nobody. */
  defaultOutboundAccess: boolean;
}

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region";

export const virtualNetwork = ({ azure }: { azure: Azure }): Resource<VirtualNetwork, ActualVirtualNetwork> => {
  const what = ({ name }: VirtualNetwork): string => `virtual network ${name}`;
  const observe = (desired: VirtualNetwork) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.network()).virtualNetworks.get(desired.resourceGroup, desired.name),
      ({ id, location, addressSpace, subnets, provisioningState }) => {
        const subnet = subnets?.find(({ name }) => name === desired.subnet.name);
        return {
          id: id ?? "",
          subnetId: subnet?.id ?? "",
          region: regionName(location),
          addressPrefixes: (addressSpace?.addressPrefixes ?? []).toSorted(),
          subnetAddressPrefix: subnet?.addressPrefix ?? subnet?.addressPrefixes?.[0] ?? "",
          networkSecurityGroupId: subnet?.networkSecurityGroup?.id ?? "",
          // Older networks leave it out, and out means on. Source: "Default outbound access in Azure".
          defaultOutboundAccess: subnet?.defaultOutboundAccess ?? true,
          provisioningState: provisioningStateOf(provisioningState),
        };
      },
    );
  const write = (action: string, desired: VirtualNetwork, found: FoundNetwork) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.network()).virtualNetworks.beginCreateOrUpdate(desired.resourceGroup, desired.name, merged(desired, found), {
        onResponse,
      }),
    );

  return {
    kind: "virtualNetwork",
    fixed,
    observe,
    diff: (desired, actual) =>
      changesBetween(
        {
          region: desired.region,
          addressPrefixes: [...new Set([...actual.addressPrefixes, desired.addressPrefix])].sort(),
          subnetAddressPrefix: desired.subnet.addressPrefix,
          networkSecurityGroupId: sameId(desired.networkSecurityGroupId, actual.networkSecurityGroupId)
            ? actual.networkSecurityGroupId
            : desired.networkSecurityGroupId,
          defaultOutboundAccess: false,
        },
        actual,
      ),
    create: (desired) => write("creating", desired, {}),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.network()).virtualNetworks.get(desired.resourceGroup, desired.name),
      );
      return write("updating", desired, found ?? {});
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.network()).virtualNetworks.beginDelete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

/** A write replaces the whole network: what others added to it goes back as it was. */
function merged(
  { owner, region, addressPrefix, subnet, found: asFound, ...desired }: VirtualNetwork,
  found: FoundNetwork,
): FoundNetwork {
  const {
    addressPrefixes = [...new Set([...(found.addressSpace?.addressPrefixes ?? []), addressPrefix])],
    subnetAddressPrefix = subnet.addressPrefix,
    networkSecurityGroupId = desired.networkSecurityGroupId,
    defaultOutboundAccess = false,
  } = (asFound ?? {}) as Partial<ActualVirtualNetwork>;
  const { networkSecurityGroup: _, ...before }: Subnet = found.subnets?.find(({ name }) => name === subnet.name) ?? {};
  const ours: Subnet = {
    ...before,
    name: subnet.name,
    addressPrefix: subnetAddressPrefix,
    ...(networkSecurityGroupId === "" ? {} : { networkSecurityGroup: { id: networkSecurityGroupId } }),
    defaultOutboundAccess,
  };
  return {
    ...found,
    location: region,
    tags: { ...found.tags, ...ownershipTags(owner) },
    addressSpace: { ...found.addressSpace, addressPrefixes },
    subnets: [...(found.subnets ?? []).filter(({ name }) => name !== subnet.name), ours],
  };
}
