/** What the guest holds beside what onboarding gives it. */
import { type Agents, FIRST_GENERATION, type GuestGeneration } from "../../shared/desired/state.ts";
import { apiVersion } from "../../shared/api/routes.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import type { OnboardingWorld } from "./world.ts";

type Tenant = Pick<CredentialRecord, "partnerId" | "tenantId">;

/** The guest's own generation and the credential that it holds now; a rotation may have moved both since the last onboarding. */
export async function guestOf({ stores }: OnboardingWorld, tenant: Tenant): Promise<GuestGeneration> {
  return generationOf(await stores.credentials.find({ ...tenant, name: "clientSecret" }));
}

/** The same, for writing it: while a rotation is giving the machine its next one, the one in the store is on its way out. */
export async function settledGuestOf({ stores }: OnboardingWorld, tenant: Tenant): Promise<GuestGeneration> {
  const known = await stores.credentials.find({ ...tenant, name: "clientSecret" });
  if (known?.rotation && known.rotation.generation > known.generation)
    throw new ControlPlaneError(
      "RotationUnderWay",
      `operation ${known.rotation.operationId} is giving the gateway its next client secret`,
      503,
      true,
    );
  return generationOf(known);
}

/** Where the tenant's machines report. */
export const agentsOf = ({ settings: { publicUrl, applicationId } }: Pick<OnboardingWorld, "settings">): Agents => ({
  publicUrl,
  apiVersion,
  audience: applicationId,
});

const generationOf = (known: CredentialRecord | undefined): GuestGeneration =>
  known ? { generation: known.generation, clientSecret: known.current?.reference } : FIRST_GENERATION;
