/** What stands of a tenant: as its record knows it, and as the clouds show it. */
import { readFailure } from "../../shared/azure/owned.ts";
import * as desired from "../../shared/desired/state.ts";
import type { OtherCertificate } from "../../shared/desired/certificate.ts";
import type { Address, Ground } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { IN_NO_VAULT, type SecretReference } from "../../shared/vault/reference.ts";
import type { Footprint } from "../../shared/desired/removals.ts";

export function footprintOf({ facts }: Pick<TenantRecord, "facts">): Footprint {
  const ground = facts["ground"] as Ground | undefined;
  const secrets = facts["secrets"] as { loopGuid?: SecretReference } | undefined;
  const reader = ground?.applications?.exchangeWebServices;
  return {
    // An onboarding that ended early made no rules that have it; removing one needs none either.
    loopGuid: ground?.loopGuid ?? secrets?.loopGuid ?? IN_NO_VAULT,
    regions: ground?.regions ?? [],
    certificate: ground?.certificate,
    otherCertificate: facts["otherCertificate"] as OtherCertificate | undefined,
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
