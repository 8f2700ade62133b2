/** Mission A1: all of a gateway's objects in one region share a resource group, and offboarding takes it away last. */
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
import { ownershipTags, type Place, regionName } from "../azure/place.ts";
import { done, type Resource } from "./resource.ts";

export type ResourceGroup = Place;

export interface ActualResourceGroup extends Provisioned {
  id: string;
  region: string;
}

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region";

export const resourceGroup = ({ azure }: { azure: Azure }): Resource<ResourceGroup, ActualResourceGroup> => {
  const what = ({ resourceGroup }: ResourceGroup): string => `resource group ${resourceGroup}`;
  const observe = (desired: ResourceGroup) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.resources()).resourceGroups.get(desired.resourceGroup),
      ({ id, location, properties }) => ({
        id: id ?? "",
        region: regionName(location),
        provisioningState: provisioningStateOf(properties?.provisioningState),
      }),
    );
  const write = (action: string, desired: ResourceGroup, tags: Record<string, string> = {}) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.resources()).resourceGroups.createOrUpdate(
        desired.resourceGroup,
        { location: desired.region, tags: { ...tags, ...ownershipTags(desired.owner) } },
        { onResponse },
      ),
    );

  return {
    kind: "resourceGroup",
    fixed,
    observe,
    diff: ({ region }, actual) => changesBetween({ region }, actual),
    create: (desired) => write("creating", desired),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      if (changes.length === 0) return done;
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.resources()).resourceGroups.get(desired.resourceGroup),
      );
      return write("updating", desired, found?.tags);
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.resources()).resourceGroups.beginDelete(desired.resourceGroup, { onResponse }),
      ),
  };
};
