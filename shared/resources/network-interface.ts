/** Manual, chapter 2.2.1; mission A5: the machine's way into the network, behind the security group from its first moment. */
import type { NetworkInterface as FoundInterface } from "@azure/arm-network";
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

export type NetworkInterface = Named & {
  subnetId: string;
  networkSecurityGroupId: string;
  /** Without one it is reached from its own network only. */
  publicIpAddressId?: string | undefined;
  /** The load balancer's pool, where there is one. */
  poolId?: string | undefined;
  /** Out of this one's pools, for good. */
  leavesLoadBalancerId?: string | undefined;
};

export interface ActualNetworkInterface extends Provisioned {
  id: string;
  region: string;
  subnetId: string;
  networkSecurityGroupId: string;
  publicIpAddressId: string;
  /** In lower case, sorted; others may have added theirs. */
  poolIds: string[];
}

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region";

export const networkInterface = ({ azure }: { azure: Azure }): Resource<NetworkInterface, ActualNetworkInterface> => {
  const what = ({ name }: NetworkInterface): string => `network interface ${name}`;
  const observe = (desired: NetworkInterface) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.network()).networkInterfaces.get(desired.resourceGroup, desired.name),
      ({ id, location, ipConfigurations, networkSecurityGroup, provisioningState }) => {
        const address = ipConfigurations?.find(({ primary }) => primary) ?? ipConfigurations?.[0];
        return {
          id: id ?? "",
          region: regionName(location),
          subnetId: address?.subnet?.id ?? "",
          networkSecurityGroupId: networkSecurityGroup?.id ?? "",
          publicIpAddressId: address?.publicIPAddress?.id ?? "",
          poolIds: (address?.loadBalancerBackendAddressPools ?? []).map(({ id: pool }) => (pool ?? "").toLowerCase()).sort(),
          provisioningState: provisioningStateOf(provisioningState),
        };
      },
    );
  const write = (action: string, desired: NetworkInterface, found: FoundInterface) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.network()).networkInterfaces.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.name,
        merged(desired, found),
        { onResponse },
      ),
    );

  return {
    kind: "networkInterface",
    fixed,
    observe,
    diff: ({ region, ...desired }, actual) => {
      const kept = (property: "subnetId" | "networkSecurityGroupId" | "publicIpAddressId"): string => {
        const wanted = desired[property] ?? "";
        return sameId(wanted, actual[property]) ? actual[property] : wanted;
      };
      return changesBetween(
        {
          region,
          subnetId: kept("subnetId"),
          networkSecurityGroupId: kept("networkSecurityGroupId"),
          publicIpAddressId: kept("publicIpAddressId"),
          poolIds: [
            ...new Set([...actual.poolIds.filter(stays(desired)), ...(desired.poolId ? [desired.poolId.toLowerCase()] : [])]),
          ].sort(),
        },
        actual,
      );
    },
    create: (desired) => write("creating", desired, {}),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.network()).networkInterfaces.get(desired.resourceGroup, desired.name),
      );
      return write("updating", desired, found ?? {});
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.network()).networkInterfaces.beginDelete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

const stays =
  ({ leavesLoadBalancerId }: Pick<NetworkInterface, "leavesLoadBalancerId">) =>
  (poolId: string): boolean =>
    leavesLoadBalancerId === undefined || !poolId.toLowerCase().startsWith(`${leavesLoadBalancerId.toLowerCase()}/`);

/** A write replaces the whole interface: its private address and what others added go back as they were. */
function merged(desired: NetworkInterface, found: FoundInterface): FoundInterface {
  const [{ publicIPAddress: _, ...first } = {}, ...others] = found.ipConfigurations ?? [];
  const pools = (first.loadBalancerBackendAddressPools ?? []).filter(
    ({ id = "" }) => stays(desired)(id) && !sameId(id, desired.poolId ?? ""),
  );
  return {
    ...found,
    location: desired.region,
    tags: { ...found.tags, ...ownershipTags(desired.owner) },
    ...(desired.networkSecurityGroupId === "" ? {} : { networkSecurityGroup: { id: desired.networkSecurityGroupId } }),
    ipConfigurations: [
      {
        ...first,
        name: first.name ?? "primary",
        primary: true,
        privateIPAllocationMethod: first.privateIPAllocationMethod ?? "Dynamic",
        privateIPAddressVersion: "IPv4",
        subnet: { id: desired.subnetId },
        ...(desired.publicIpAddressId === undefined ? {} : { publicIPAddress: { id: desired.publicIpAddressId } }),
        loadBalancerBackendAddressPools: [...pools, ...(desired.poolId ? [{ id: desired.poolId }] : [])],
      },
      ...others,
    ],
  };
}
