/** A rotation as an operation: of which credential, and the generation that it makes. */
import { refusal } from "../../shared/api/error-codes.ts";
import { settledStage } from "../../shared/desired/bypass.ts";
import type { GatewayCertificate } from "../../shared/desired/certificate.ts";
import { LATEST_WRITE_IN_SECONDS } from "../../shared/desired/loop-guid-in-force.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { isStanding, targetOf } from "../../shared/desired/target.ts";
import type { TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { type CredentialKey, isClientSecret, isPassword, mayBegin } from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { type CertificateRotation, rotateCertificate } from "./certificate.ts";
import { wantedInstead } from "./certificate-due.ts";
import { rotateClientSecret } from "./client-secret.ts";
import { type LoopGuidRotation, rotateLoopGuid } from "./loop-guid.ts";
import type { Rotation, RotationGround } from "./orchestrator.ts";
import { rotatePassword } from "./password.ts";
import { certificateSteps, loopGuidSteps, passwordSteps, rotationSteps } from "./steps.ts";
import type { RotationWorld } from "./world.ts";

export interface RotationRequest {
  name: CredentialKey["name"];
  generation: number;
  /** Without any wait for whoever still uses the old one. */
  emergency?: boolean;
  /** Only lets the old one go. */
  finish?: boolean;
  /** The one that was replaced comes into use again; of what machines keep only. */
  back?: boolean;
}

type World = Pick<RotationWorld, "stores" | "rotation" | "clock">;
/** What any of them takes; whatever else another one takes it knows nothing of. */
type AnyRotation = LoopGuidRotation & CertificateRotation;

/** Client secrets rotate beside other operations of their tenant; what rules and machines are made of does not. */
export function rotationOf(world: World, request: RotationRequest): TenantOperation<AnyRotation> {
  const check = (tenant: TenantRecord) => refuseOutdated(world, request, tenant);
  const input = (tenant: TenantRecord, operationId: string) => inputOf(world, request, tenant, operationId) as AnyRotation;
  const finish = request.finish === true && { finish: true };
  if (isClientSecret(request.name))
    return {
      kind: "rotation",
      orchestrator: rotateClientSecret,
      stepsOf: ({ spec }) => rotationSteps(spec),
      inputOf: input,
      check,
    };
  if (isPassword(request.name))
    return {
      kind: "renewal",
      orchestrator: rotatePassword,
      stepsOf: ({ spec }) => passwordSteps(spec, request),
      inputOf: input,
      check,
    };
  if (request.name === "smtpCertificate")
    return {
      kind: "renewal",
      orchestrator: rotateCertificate,
      stepsOf: ({ spec }) => certificateSteps(spec, request),
      inputOf: (tenant, operationId) => ({
        ...input(tenant, operationId),
        ...finish,
        ...certificateOf(world, request, tenant),
      }),
      check,
    };
  return {
    kind: "renewal",
    orchestrator: rotateLoopGuid,
    stepsOf: (tenant) => loopGuidSteps(tenant, request),
    inputOf(tenant, operationId) {
      const rotation = input(tenant, operationId);
      return {
        ...rotation,
        ...finish,
        live: settledStage(tenant) === "live",
        bypassed: tenant.stage === "bypassed",
        settleInSeconds: Math.min(LATEST_WRITE_IN_SECONDS, rotation.pace.overlapInSeconds),
      };
    },
    check,
  };
}

function certificateOf(
  { rotation }: World,
  { back }: RotationRequest,
  tenant: TenantRecord,
): Omit<CertificateRotation, keyof Rotation> {
  const shown = (tenant.facts["ground"] as Ground).certificate;
  const wanted = shown && wantedInstead(tenant, shown.secret.vaultUrl, shown.thumbprint);
  if (shown === undefined || wanted === undefined)
    throw refusal("CredentialNotFound", `the gateways of tenant ${tenant.id} show no certificate of its own`);
  const kept = tenant.facts["keptCertificate"] as GatewayCertificate | undefined;
  return {
    shown,
    wanted,
    ...(back &&
      kept && { back: { ...kept, earlier: [...shown.earlier.filter((one) => one !== kept.thumbprint), shown.thumbprint] } }),
    certificateOverlapInSeconds: rotation.certificateOverlapInSeconds,
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

async function refuseOutdated(
  { stores, clock }: World,
  { name, generation, emergency, finish, back }: RotationRequest,
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
  if (back && credential.previous === undefined)
    throw refusal("NothingToGoBackTo", `${name} was not replaced lately: there is no version that the gateways have kept`);
  if (finish && credential.keptUntil !== undefined && Date.parse(credential.keptUntil) > clock.now())
    throw refusal("CredentialOverlapping", `${name} was replaced, and the one before is accepted until ${credential.keptUntil}`);
}
