/** What the tenant's record knows of what stands. */
import type { Ground } from "../../shared/desired/state.ts";
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
