/** A rotation as an operation: of which credential, and the generation that it makes. */
import { refusal } from "../../shared/api/error-codes.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { type CredentialKey, generationToMake } from "../../shared/stores/credentials.ts";
import { rotateClientSecret, type Rotation, type RotationGround } from "./orchestrator.ts";
import { rotationSteps } from "./steps.ts";
import type { RotationWorld } from "./world.ts";

export interface RotationRequest {
  name: CredentialKey["name"];
  generation: number;
}

export const rotationOf = (
  { stores, rotation }: Pick<RotationWorld, "stores" | "rotation">,
  { name, generation }: RotationRequest,
): TenantOperation<Rotation> => ({
  kind: "rotation",
  orchestrator: rotateClientSecret,
  stepsOf: ({ spec }) => rotationSteps(spec),
  inputOf(tenant, operationId) {
    const { work, spec, names } = targetOf(tenant);
    const key = { partnerId: tenant.partnerId, tenantId: tenant.id, name };
    const ground = tenant.facts["ground"] as RotationGround;
    return { work: { ...work, operationId }, key, generation, spec, names, ground, pace: rotation.pace };
  },
  async check({ partnerId, id: tenantId, facts }) {
    const credential = await stores.credentials.find({ partnerId, tenantId, name });
    if (!credential || facts["ground"] === undefined || generationToMake(credential) !== generation)
      throw refusal("RetryOutdated", `${name} of tenant ${tenantId} is no longer at what this rotation would have made`);
    if (credential.rotation)
      throw refusal("OperationInProgress", `operation ${credential.rotation.operationId} is rotating ${name}`, {
        target: credential.rotation.operationId,
      });
  },
});
