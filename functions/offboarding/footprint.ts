/** What stands of a tenant: as its record knows it, and as the clouds show it. */
import type { Azure } from "../../shared/azure/client.ts";
import { readFailure } from "../../shared/azure/owned.ts";
import { ownedBy, sameId } from "../../shared/azure/place.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Address, Ground } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import type { Footprint } from "./removals.ts";

/** A tenant's onboarding that ended early made no rules that have it; removing one needs none either. */
const NO_GUID: SecretReference = { vaultUrl: "https://never-made.invalid", name: "loop-guid", version: "0" };

export function footprintOf({ facts }: Pick<TenantRecord, "facts">): Footprint {
  const ground = facts["ground"] as Ground | undefined;
  const secrets = facts["secrets"] as { loopGuid?: SecretReference } | undefined;
  const reader = ground?.applications?.exchangeWebServices;
  return {
    loopGuid: ground?.loopGuid ?? secrets?.loopGuid ?? NO_GUID,
    regions: ground?.regions ?? [],
    certificate: ground?.certificate,
    reader: reader && { appId: reader.appId, servicePrincipalId: null },
  };
}

/** With the addresses that stand though the onboarding never ended. */
export async function standingFootprint(
  resources: Pick<Resources, "publicIpAddress">,
  target: Target,
  tenant: Pick<TenantRecord, "facts">,
): Promise<Footprint> {
  const known = footprintOf(tenant);
  const standing = async (wanted: DesiredOf<Resources["publicIpAddress"]>): Promise<Address | undefined> => {
    const found = await resources.publicIpAddress.observe(wanted);
    if (found.state === "unknown") throw readFailure(`public address ${wanted.name}`, found);
    return found.state === "present" ? found.actual : undefined;
  };
  const regions: Ground["regions"] = [];
  for (const [index, region] of target.names.regions.entries()) {
    const machines: Address[] = [];
    for (const [number, machine] of region.machines.entries()) {
      const address =
        (await standing(desired.machineAddress(target, { region, machine }))) ?? known.regions[index]?.machines[number];
      if (address) machines.push(address);
    }
    regions.push({ machines });
  }
  return { ...known, regions };
}

export interface Contents {
  /** By provider, kind and name. */
  ours: string[];
  /** What neither carries the tenant's marks nor belongs to something that does. */
  foreign: string[];
}

export async function contentsOf(azure: Azure, group: DesiredOf<Resources["resourceGroup"]>): Promise<Contents> {
  const listed = await azure.read(group, async (clients) => {
    const found: { id: string; ours: boolean; managedBy: string }[] = [];
    for await (const { id = "", tags, managedBy = "" } of (await clients.resources()).resources.listByResourceGroup(
      group.resourceGroup,
    ))
      found.push({ id, ours: ownedBy(tags, group.owner), managedBy });
    return found;
  });
  if (listed.state === "unknown") throw readFailure(`what is in resource group ${group.resourceGroup}`, listed);
  const found = listed.state === "present" ? listed.actual : [];
  const ours = found.filter((one) => one.ours);
  const foreign = found.filter(
    ({ id, ours: own, managedBy }) =>
      !own && !ours.some((one) => sameId(one.id, managedBy) || id.toLowerCase().startsWith(`${one.id.toLowerCase()}/`)),
  );
  const named = ({ id }: { id: string }): string => id.split("/providers/")[1] ?? id;
  return { ours: found.filter((one) => !foreign.includes(one)).map(named), foreign: foreign.map(named) };
}
