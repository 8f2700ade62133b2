/** A rotation as an operation: of which credential, and the generation that it makes. */
import { refusal } from "../../shared/api/error-codes.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { type CredentialKey, mayBegin } from "../../shared/stores/credentials.ts";
import { rotateClientSecret, type Rotation, type RotationGround } from "./orchestrator.ts";
import { rotationSteps } from "./steps.ts";
import type { RotationWorld } from "./world.ts";

export interface RotationRequest {
  name: CredentialKey["name"];
  generation: number;
  /** Without any wait for whoever still uses the old one. */
  emergency?: boolean;
}

export const rotationOf = (
  { stores, rotation }: Pick<RotationWorld, "stores" | "rotation">,
  { name, generation, emergency = false }: RotationRequest,
): TenantOperation<Rotation> => ({
  kind: "rotation",
  orchestrator: rotateClientSecret,
  stepsOf: ({ spec }) => rotationSteps(spec),
  inputOf(tenant, operationId) {
    const { work, spec, names } = targetOf(tenant);
    const key = { partnerId: tenant.partnerId, tenantId: tenant.id, name };
    const ground = tenant.facts["ground"] as RotationGround;
    const input = { work: { ...work, operationId }, key, generation, spec, names, ground };
    if (!emergency) return { ...input, pace: rotation.pace };
    return { ...input, emergency, pace: { ...rotation.pace, overlapInSeconds: 0 } };
  },
  async check({ partnerId, id: tenantId, facts }) {
    const credential = await stores.credentials.find({ partnerId, tenantId, name });
    if (credential && facts["ground"] !== undefined && mayBegin(credential, generation, emergency)) return;
    if (!credential?.rotation)
      throw refusal("RetryOutdated", `${name} of tenant ${tenantId} is no longer at what this rotation would have made`);
    const { operationId } = credential.rotation;
    throw refusal("OperationInProgress", `operation ${operationId} is rotating ${name}`, { target: operationId });
  },
});
