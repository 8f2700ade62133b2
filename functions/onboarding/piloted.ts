/** Which tenants change their stage. */
import { refusal } from "../../shared/api/error-codes.ts";
import { piloted } from "../../shared/desired/target.ts";
import { refuseAdopted } from "../../shared/desired/adopted.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

/** A promotion that ended halfway has left rules behind though the stage says pilot: so both ways are open from both stages. */
export function refuseUnlessPiloted(tenant: TenantRecord): void {
  const { id, stage, facts } = tenant;
  refuseAdopted(tenant, "its stage is what the person's rule does", "POST …/onboard makes it whole first");
  if (piloted(tenant) && facts["ground"] !== undefined) return;
  throw refusal("NotPiloted", `tenant ${id} is in stage ${stage}: only one whose pilot runs can be promoted or demoted`);
}
