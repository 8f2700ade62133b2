/** What the guest holds beside what onboarding gives it. */
import type { Agents, GuestGeneration } from "../desired/state.ts";
import { apiVersion } from "../api/routes.ts";
import { ControlPlaneError } from "../errors.ts";
import {
  type CredentialRecord,
  guestGenerationOf,
  keptCertificateOf,
  secretsInUse,
  writingDocument,
} from "../stores/credentials.ts";
import type { RunbookWorld } from "./world.ts";

type Tenant = Pick<CredentialRecord, "partnerId" | "tenantId">;

/** The guest's own generation and the credentials that it holds now; rotations may have moved them since the last onboarding. */
export async function guestOf(
  { stores }: Pick<RunbookWorld, "stores">,
  { partnerId, tenantId }: Tenant,
): Promise<GuestGeneration> {
  return generationOf(await stores.credentials.list(partnerId, tenantId));
}

/** The same, for writing it: while a rotation is giving the machine its next one, the one in the store is on its way out. */
export async function settledGuestOf(
  { stores }: Pick<RunbookWorld, "stores">,
  { partnerId, tenantId }: Tenant,
): Promise<GuestGeneration> {
  const known = await stores.credentials.list(partnerId, tenantId);
  const busy = known.find(writingDocument);
  if (busy)
    throw new ControlPlaneError(
      "RotationUnderWay",
      `operation ${busy.rotation?.operationId} is giving the gateway its next ${busy.name}`,
      503,
      true,
    );
  return generationOf(known);
}

/** Where the tenant's machines report. */
export const agentsOf = ({ settings: { publicUrl, applicationId } }: Pick<RunbookWorld, "settings">): Agents => ({
  publicUrl,
  apiVersion,
  audience: applicationId,
});

const generationOf = (known: CredentialRecord[]): GuestGeneration => ({
  generation: guestGenerationOf(known),
  ...secretsInUse(known),
  ...keptCertificateOf(known),
});
