/** A rotation as an operation: of which credential, and the generation that it makes. */
import { refusal } from "../../shared/api/error-codes.ts";
import { refuseAdopted } from "../../shared/desired/adopted.ts";
import { settledStage } from "../../shared/desired/bypass.ts";
import type { GatewayCertificate } from "../../shared/desired/certificate.ts";
import { LATEST_WRITE_IN_SECONDS } from "../../shared/desired/loop-guid-in-force.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { isStanding, standingOf, targetOf } from "../../shared/desired/target.ts";
import type { TenantOperation } from "../../shared/durable/tenant-operation.ts";
import {
  type CredentialKey,
  type CredentialRecord,
  isClientSecret,
  isPassword,
  mayBegin,
} from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { underOneOf } from "../../shared/tenants/spec.ts";
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
  /** The certificate's next name. */
  certificateName?: string;
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
      stepsOf: (tenant) => certificateSteps(tenant.spec, request, namingOf(request, tenant)),
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
  request: RotationRequest,
  tenant: TenantRecord,
): Omit<CertificateRotation, keyof Rotation> {
  const { back, certificateName } = request;
  const inUse = (tenant.facts["ground"] as Ground).certificate;
  const wanted = inUse && wantedInstead(tenant, inUse.secret.vaultUrl, inUse.thumbprint);
  if (inUse === undefined || wanted === undefined)
    throw refusal("CredentialNotFound", `the gateways of tenant ${tenant.id} show no certificate of its own`);
  const kept = tenant.facts["keptCertificate"] as GatewayCertificate | undefined;
  const { otherCertificate: other } = targetOf(tenant);
  const { renaming, clears } = namingOf(request, tenant);
  const flipped = renaming && inUse.name === certificateName ? { flipped: inUse } : {};
  const to = back && (other?.state === "accepted" ? inUse : kept);
  return {
    shown: "flipped" in flipped && kept ? kept : inUse,
    wanted: certificateName === undefined ? wanted : { ...wanted, name: certificateName },
    ...(to && { back: { ...to, earlier: [...inUse.earlier, inUse.thumbprint].filter((one) => one !== to.thumbprint) } }),
    ...(renaming && { renaming: { settleInSeconds: rotation.settleInSeconds, ...flipped } }),
    ...(clears && other && { other }),
    certificateOverlapInSeconds: rotation.certificateOverlapInSeconds,
  };
}

/** Whether machines get another name, and whether Exchange Online is to know them by one only in the end. */
export function namingOf(
  { back, finish, emergency, certificateName }: RotationRequest,
  tenant: TenantRecord,
): { renaming: boolean; clears: boolean } {
  const { otherCertificate: other } = targetOf(tenant);
  const clears = other !== undefined && (back || finish || emergency) === true;
  return { renaming: certificateName !== undefined || (back === true && other?.state === "kept"), clears };
}

/** It is proven by mail, and goes from one name to one other. */
function refuseUnlessRenamable(tenant: TenantRecord, { previous, keptUntil }: CredentialRecord, certificateName: string): void {
  const { id, stage, spec } = tenant;
  refuseAdopted(tenant, "its connectors are not ours to change", "POST …/onboard makes it whole first");
  if (stage === "bypassed")
    throw refusal("TenantBypassed", `mail of tenant ${id} goes round its gateway, so that another name could not be proven`);
  if (standingOf(tenant) !== undefined)
    throw refusal("TenantInUse", `the spec of tenant ${id} asks for other machines than stand: onboard it first`);
  const { domains } = spec.microsoft365;
  if (!underOneOf(domains, certificateName))
    throw refusal(
      "InvalidRequest",
      `${certificateName} is none of the tenant's domains nor a name below one: ${domains.join(", ")}`,
      {
        target: "certificateName",
      },
    );
  const shown = (tenant.facts["ground"] as Ground | undefined)?.certificate?.name;
  const { otherCertificate: other } = targetOf(tenant);
  // Of one that was tried again, it is the name that it has come to.
  if (shown === certificateName && other !== undefined) return;
  if (shown === certificateName)
    throw refusal("InvalidRequest", `the certificate of tenant ${id} is for ${shown} already`, { target: "certificateName" });
  if (other?.state === "accepted" && other.name !== certificateName)
    throw refusal("CredentialOverlapping", `its certificate is halfway to ${other.name}: ask for that again, or go back`);
  if (previous !== undefined || other?.state === "kept")
    throw refusal("CredentialOverlapping", `smtpCertificate was replaced, and the one before is kept until ${keptUntil}`);
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
  { name, generation, emergency, finish, back, certificateName }: RotationRequest,
  tenant: TenantRecord,
): Promise<void> {
  const { partnerId, id: tenantId } = tenant;
  const credential = await stores.credentials.find({ partnerId, tenantId, name });
  if (credential && certificateName !== undefined) refuseUnlessRenamable(tenant, credential, certificateName);
  if (credential?.rotation && !mayBegin(credential, generation, emergency)) {
    const { operationId } = credential.rotation;
    throw refusal("OperationInProgress", `operation ${operationId} is rotating ${name}`, { target: operationId });
  }
  const built = tenant.facts["ground"] !== undefined && (isClientSecret(name) || isStanding(tenant));
  if (!credential || !built || !mayBegin(credential, generation, emergency))
    throw refusal("RetryOutdated", `${name} of tenant ${tenantId} is no longer at what this rotation would have made`);
  const halfway = targetOf(tenant).otherCertificate?.state === "accepted";
  if (back && credential.previous === undefined && !halfway)
    throw refusal("NothingToGoBackTo", `${name} was not replaced lately: there is no version that the gateways have kept`);
  if (finish && credential.keptUntil !== undefined && Date.parse(credential.keptUntil) > clock.now())
    throw refusal("CredentialOverlapping", `${name} was replaced, and the one before is accepted until ${credential.keptUntil}`);
}
