/** A rotation as an operation: of which credential, and the generation that it makes. */
import { refusal } from "../../shared/api/error-codes.ts";
import { settledStage } from "../../shared/desired/bypass.ts";
import { isStanding, targetOf } from "../../shared/desired/target.ts";
import type { TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { type CredentialKey, isClientSecret, isPassword, mayBegin } from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { rotateClientSecret } from "./client-secret.ts";
import { type LoopGuidRotation, rotateLoopGuid } from "./loop-guid.ts";
import type { Rotation, RotationGround } from "./orchestrator.ts";
import { rotatePassword } from "./password.ts";
import { loopGuidSteps, passwordSteps, rotationSteps } from "./steps.ts";
import type { RotationWorld } from "./world.ts";

export interface RotationRequest {
  name: CredentialKey["name"];
  generation: number;
  /** Without any wait for whoever still uses the old one. */
  emergency?: boolean;
  /** Only lets the old one go. */
  finish?: boolean;
}

type World = Pick<RotationWorld, "stores" | "rotation" | "clock">;

/** Client secrets rotate beside other operations of their tenant; what rules and machines are made of does not. */
export function rotationOf(world: World, request: RotationRequest): TenantOperation<LoopGuidRotation> {
  const { name, finish } = request;
  const checked = (tenant: TenantRecord) => check(world, request, tenant);
  // Whatever else the loop GUID's takes the others know nothing of.
  const input = (tenant: TenantRecord, operationId: string) => inputOf(world, request, tenant, operationId) as LoopGuidRotation;
  if (isClientSecret(name))
    return {
      kind: "rotation",
      orchestrator: rotateClientSecret,
      stepsOf: ({ spec }) => rotationSteps(spec),
      inputOf: input,
      check: checked,
    };
  if (isPassword(name))
    return {
      kind: "renewal",
      orchestrator: rotatePassword,
      stepsOf: ({ spec }) => passwordSteps(spec, request),
      inputOf: input,
      check: checked,
    };
  return {
    kind: "renewal",
    orchestrator: rotateLoopGuid,
    stepsOf: (tenant) => loopGuidSteps(tenant, request),
    inputOf: (tenant, operationId) => ({
      ...input(tenant, operationId),
      ...(finish === true && { finish: true }),
      live: settledStage(tenant) === "live",
      bypassed: tenant.stage === "bypassed",
    }),
    check: checked,
  };
}

function inputOf(
  { rotation: { pace } }: World,
  { name, generation, emergency = false }: RotationRequest,
  tenant: TenantRecord,
  operationId: string,
): Rotation {
  const { work, spec, names } = targetOf(tenant);
  const key = { partnerId: tenant.partnerId, tenantId: tenant.id, name };
  const ground = tenant.facts["ground"] as RotationGround;
  const input = { work: { ...work, operationId }, key, generation, spec, names, ground };
  return emergency ? { ...input, emergency, pace: { ...pace, overlapInSeconds: 0 } } : { ...input, pace };
}

async function check(
  { stores, clock }: World,
  { name, generation, emergency, finish }: RotationRequest,
  tenant: TenantRecord,
): Promise<void> {
  const { partnerId, id: tenantId } = tenant;
  const credential = await stores.credentials.find({ partnerId, tenantId, name });
  if (credential?.rotation && !mayBegin(credential, generation, emergency)) {
    const { operationId } = credential.rotation;
    throw refusal("OperationInProgress", `operation ${operationId} is rotating ${name}`, { target: operationId });
  }
  const built = tenant.facts["ground"] !== undefined && (isClientSecret(name) || isStanding(tenant));
  if (!credential || !built || !mayBegin(credential, generation, emergency))
    throw refusal("RetryOutdated", `${name} of tenant ${tenantId} is no longer at what this rotation would have made`);
  if (finish && credential.keptUntil !== undefined && Date.parse(credential.keptUntil) > clock.now())
    throw refusal("CredentialOverlapping", `${name} was replaced, and the one before is accepted until ${credential.keptUntil}`);
}
