/** Which tenants can be taken away. */
import { refusal } from "../../shared/api/error-codes.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

export function refuseUnlessBuilt({ id, stage }: Pick<TenantRecord, "id" | "stage">): void {
  if (stage === "registered")
    throw refusal("NothingToOffboard", `nothing was built for tenant ${id}: DELETE /api/tenants/${id} removes its record`);
  if (stage === "gone")
    throw refusal("NothingToOffboard", `tenant ${id} is gone already: DELETE /api/tenants/${id} removes its record`);
}
