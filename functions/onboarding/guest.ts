/** What the guest holds beside what onboarding gives it. */
import { FIRST_GENERATION, type GuestGeneration } from "../../shared/desired/state.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { OnboardingWorld } from "./world.ts";

/** The guest's own generation and the credential that it holds now; a rotation may have moved both since the last onboarding. */
export async function guestOf({ stores }: OnboardingWorld, { partnerId, id }: TenantRecord): Promise<GuestGeneration> {
  const known = await stores.credentials.find({ partnerId, tenantId: id, name: "clientSecret" });
  return known ? { generation: known.generation, clientSecret: known.current?.reference } : FIRST_GENERATION;
}
