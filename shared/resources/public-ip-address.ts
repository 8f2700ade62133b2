/** Manual, chapters 2.2.1 and 2.2.2; mission A5, A6: the gateway's static address, its global name, and the name that the address gives back. */
import type { PublicIPAddress as FoundAddress } from "@azure/arm-network";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  readFailure,
  removeOwned,
  refuseReplacement,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Resource } from "./resource.ts";

export type PublicIpAddress = Named & { dnsLabel: string };

export interface ActualPublicIpAddress extends Provisioned {
  id: string;
  ipAddress: string;
  /** `{label}.{region}.{suffix}`, without a dot at its end. */
  fqdn: string;
  reverseFqdn: string;
  region: string;
  sku: string;
  allocation: string;
  dnsLabel: string;
}

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region" || path === "sku";

/**
 * Becomes true in two writes: Azure refuses a reverse name that does not lead to the address yet, and the name leads there only after
 * the first. So after `create` there is still a difference in `reverseFqdn`, and `update` settles it.
 */
export const publicIpAddress = ({ azure }: { azure: Azure }): Resource<PublicIpAddress, ActualPublicIpAddress> => {
  const what = ({ name }: PublicIpAddress): string => `public IP address ${name}`;
  const observe = (desired: PublicIpAddress) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.network()).publicIPAddresses.get(desired.resourceGroup, desired.name),
      (found) => ({
        id: found.id ?? "",
        ipAddress: found.ipAddress ?? "",
        fqdn: hostName(found.dnsSettings?.fqdn),
        reverseFqdn: hostName(found.dnsSettings?.reverseFqdn),
        region: regionName(found.location),
        sku: found.sku?.name ?? "Basic",
        allocation: found.publicIPAllocationMethod ?? "Dynamic",
        dnsLabel: found.dnsSettings?.domainNameLabel ?? "",
        provisioningState: provisioningStateOf(found.provisioningState),
      }),
    );
  const write = (action: string, desired: PublicIpAddress, found: FoundAddress, reverseFqdn?: string) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.network()).publicIPAddresses.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.name,
        {
          ...found,
          location: desired.region,
          tags: { ...found.tags, ...ownershipTags(desired.owner) },
          sku: { name: "Standard", tier: "Regional" },
          publicIPAllocationMethod: "Static",
          publicIPAddressVersion: "IPv4",
          dnsSettings: { domainNameLabel: desired.dnsLabel, ...(reverseFqdn === undefined ? {} : { reverseFqdn }) },
        },
        { onResponse },
      ),
    );

  return {
    kind: "publicIpAddress",
    fixed,
    observe,
    diff: ({ region, dnsLabel }, actual) =>
      changesBetween({ region, sku: "Standard", allocation: "Static", dnsLabel, reverseFqdn: actual.fqdn }, actual),
    async create(desired) {
      await requireFreeLabel(azure, desired);
      return write("creating", desired, {});
    },
    async update(desired, changes, actual) {
      refuseReplacement(what(desired), changes, fixed);
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.network()).publicIPAddresses.get(desired.resourceGroup, desired.name),
      );
      const labelSettled = actual.dnsLabel === desired.dnsLabel && actual.fqdn !== "";
      const { reverseFqdn = actual.fqdn } = (desired.found ?? {}) as Partial<ActualPublicIpAddress>;
      return write("updating", desired, found ?? {}, labelSettled && reverseFqdn !== "" ? `${reverseFqdn}.` : undefined);
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.network()).publicIPAddresses.beginDelete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

/** Mission A6: labels are unique in a region over all of Azure's customers, so the question comes before the write. */
async function requireFreeLabel(azure: Azure, desired: PublicIpAddress): Promise<void> {
  const answer = await azure.read(desired, async (clients) =>
    (await clients.network()).checkDnsNameAvailability(desired.region, desired.dnsLabel),
  );
  if (answer.state === "unknown") throw readFailure(`whether the DNS label ${desired.dnsLabel} is free`, answer);
  if (answer.state === "present" && answer.actual.available === false)
    throw new ControlPlaneError("DnsLabelTaken", `the DNS label ${desired.dnsLabel} is taken in ${desired.region}`, 409, false, {
      target: "dnsLabel",
    });
}

const hostName = (name: string | undefined): string => (name ?? "").toLowerCase().replace(/\.$/, "");
