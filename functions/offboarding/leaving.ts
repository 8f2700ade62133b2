/** Which tenants can be taken away. */
import { refusal } from "../../shared/api/error-codes.ts";
import { adoptedOf, refuseAdopted } from "../../shared/desired/adopted.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

export function refuseUnlessBuilt(tenant: Pick<TenantRecord, "id" | "stage" | "facts">): void {
  const { id, stage } = tenant;
  if (adoptedOf(tenant) === undefined)
    refuseAdopted(
      tenant,
      "it was not taken over to its end: to take away what is marked would break the rest",
      `POST /api/tenants/${id}/adopt goes on from there`,
    );
  if (stage === "registered")
    throw refusal("NothingToOffboard", `nothing was built for tenant ${id}: DELETE /api/tenants/${id} removes its record`);
  if (stage === "gone")
    throw refusal("NothingToOffboard", `tenant ${id} is gone already: DELETE /api/tenants/${id} removes its record`);
}
