/** Manual, chapter 2.2; mission A3: where a region has no zones, machines that don't fail together. */
import type { AvailabilitySet as FoundSet } from "@azure/arm-compute";
import type { Azure } from "../azure/client.ts";
import { changesBetween, observeOwned, readBeforeWriting, refuseReplacement, removeOwned } from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import type { Resource } from "./resource.ts";

export type AvailabilitySet = Named;

export interface ActualAvailabilitySet {
  id: string;
  region: string;
  /** `Aligned`: for machines with managed disks. */
  sku: string;
  faultDomains: number;
  updateDomains: number;
  /** Compute writes a set at once. */
  provisioningState: string;
}

/** Every region has two fault domains, some have three; five update domains are Azure's own default. */
const FAULT_DOMAINS = 2;
const UPDATE_DOMAINS = 5;

/** What Azure never lets change. */
const fixed = (path: string): boolean => path !== "sku";

export const availabilitySet = ({ azure }: { azure: Azure }): Resource<AvailabilitySet, ActualAvailabilitySet> => {
  const what = ({ name }: AvailabilitySet): string => `availability set ${name}`;
  const observe = (desired: AvailabilitySet) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.compute()).availabilitySets.get(desired.resourceGroup, desired.name),
      ({ id, location, sku, platformFaultDomainCount, platformUpdateDomainCount }) => ({
        id: id ?? "",
        region: regionName(location),
        sku: sku?.name ?? "Classic",
        faultDomains: platformFaultDomainCount ?? 0,
        updateDomains: platformUpdateDomainCount ?? 0,
        provisioningState: "Succeeded",
      }),
    );
  const write = (action: string, desired: AvailabilitySet, found: FoundSet | undefined) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.compute()).availabilitySets.createOrUpdate(
        desired.resourceGroup,
        desired.name,
        {
          location: desired.region,
          tags: { ...found?.tags, ...ownershipTags(desired.owner) },
          sku: { name: "Aligned" },
          platformFaultDomainCount: FAULT_DOMAINS,
          platformUpdateDomainCount: UPDATE_DOMAINS,
        },
        { onResponse },
      ),
    );

  return {
    kind: "availabilitySet",
    fixed,
    observe,
    diff: ({ region }, actual) =>
      changesBetween({ region, sku: "Aligned", faultDomains: FAULT_DOMAINS, updateDomains: UPDATE_DOMAINS }, actual),
    create: (desired) => write("creating", desired, undefined),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.compute()).availabilitySets.get(desired.resourceGroup, desired.name),
      );
      return write("updating", desired, found);
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.compute()).availabilitySets.delete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};
