/** Mission B5: who the gateway's machines are when they fetch their secrets; it outlives any one machine. */
import type { Azure } from "../azure/client.ts";
import { changesBetween, observeOwned, type Provisioned, removeOwned, replacementNeeded } from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import type { Resource } from "./resource.ts";

export type VmIdentity = Named;

export interface ActualVmIdentity extends Provisioned {
  id: string;
  /** Object id of its service principal: what role assignments name. */
  principalId: string;
  /** Application id: what the machine asks a token for. */
  clientId: string;
  region: string;
}

export const vmIdentity = ({ azure }: { azure: Azure }): Resource<VmIdentity, ActualVmIdentity> => {
  const what = ({ name }: VmIdentity): string => `managed identity ${name}`;
  const observe = (desired: VmIdentity) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.identities()).userAssignedIdentities.get(desired.resourceGroup, desired.name),
      ({ id, principalId, clientId, location }) => ({
        id: id ?? "",
        principalId: principalId ?? "",
        clientId: clientId ?? "",
        region: regionName(location),
        provisioningState: "Succeeded",
      }),
    );
  const write = (action: string, desired: VmIdentity) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.identities()).userAssignedIdentities.createOrUpdate(
        desired.resourceGroup,
        desired.name,
        { location: desired.region, tags: ownershipTags(desired.owner) },
        { onResponse },
      ),
    );

  return {
    kind: "vmIdentity",
    fixed: () => true,
    observe,
    diff: ({ region }, actual) => changesBetween({ region }, actual),
    create: (desired) => write("creating", desired),
    async update(desired, changes) {
      throw replacementNeeded(what(desired), changes);
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.identities()).userAssignedIdentities.delete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};
