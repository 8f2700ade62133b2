/** Where in Azure an object lives and whose it is. */
import type { TakenOver } from "../resources/adoptable.ts";
import type { Owner } from "../resources/resource.ts";

export interface Subscription {
  entraTenantId: string;
  subscriptionId: string;
}

export interface Place extends Subscription, TakenOver {
  owner: Owner;
  resourceGroup: string;
  region: string;
}

/** A resource of a known name in a place. */
export type Named = Place & { name: string };

/** Ids compare without case: Azure gives back other cases than it was given. */
export const sameId = (one: string | undefined, other: string | undefined): boolean =>
  one?.toLowerCase() === other?.toLowerCase();

/** Regions come back as `westeurope` or `West Europe`. */
export const regionName = (location: string | undefined): string => (location ?? "").toLowerCase().replaceAll(" ", "");

export const PARTNER_TAG = "gatehouse-partner";
export const TENANT_TAG = "gatehouse-tenant";

/** The ownership marker: what we put on everything that can carry tags. */
export const ownershipTags = ({ partnerId, tenantId }: Owner): Record<string, string> => ({
  [PARTNER_TAG]: partnerId,
  [TENANT_TAG]: tenantId,
});

/** A stranger's object with our name is a conflict for a person, never something to write over. */
export const ownedBy = (tags: Record<string, string> | undefined, { partnerId, tenantId }: Owner): boolean =>
  tags?.[PARTNER_TAG] === partnerId && tags[TENANT_TAG] === tenantId;

/** Whether somebody of ours has marked it, whoever that is. */
export const isMarked = (tags: Record<string, string> | undefined): boolean =>
  tags?.[PARTNER_TAG] !== undefined || tags?.[TENANT_TAG] !== undefined;

/** The same in words, for what carries no tags but a description. */
export const descriptionOf = ({ partnerId, tenantId }: Owner): string =>
  `managed by Gatehouse; partner=${partnerId}; tenant=${tenantId}`;

/** A person's remark behind it leaves it ours. */
export const carriesDescription = (description: string | undefined, owner: Owner): boolean =>
  description === descriptionOf(owner) || description?.startsWith(`${descriptionOf(owner)}; `) === true;

/** The SDKs write a slash before a resource's id, as if it had none. */
export const relative = (id: string): string => id.replace(/^\//, "");

/** Azure's resource id of a virtual machine. */
export const virtualMachineId = ({
  subscriptionId,
  resourceGroup,
  name,
}: Pick<Named, "subscriptionId" | "resourceGroup" | "name">): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Compute/virtualMachines/${name}`;

/** The one that a load balancer of ours has. */
export const BACKEND_POOL = "gateways";
export const backendPoolIn = (loadBalancerId: string): string => `${loadBalancerId}/backendAddressPools/${BACKEND_POOL}`;
