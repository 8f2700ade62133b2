/**
 * Mission B15: the gateway's own certificate on its way into an onboarding. A person's part of it (an import, an issuer's account) is waited
 * for before anything costs money; Exchange Online hears of it only when every machine was seen to show it.
 */
import {
  certificateRole,
  type GatewayCertificate,
  gatewayCertificate,
  tlsCertificate as desiredCertificate,
} from "../../shared/desired/certificate.ts";
import { machinesOf } from "../../shared/desired/machines.ts";
import * as desired from "../../shared/desired/state.ts";
import { branch } from "../../shared/durable/branches.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Routine } from "../../shared/durable/routine.ts";
import { errorOf, type Failure, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import type { TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import type { CertificateActivities } from "./certificate-activities.ts";
import type { OnboardingPace } from "./orchestrator.ts";
import type { Hands, Installation, Walk } from "./runbook.ts";

/** Of the ground: the certificate in the tenant's vault, if the spec asks for one. */
export function* obtainCertificate<Wait>(
  hands: Hands<Wait>,
  tenant: Installation,
  vault: { id: string; url: string },
  ours: string,
): Walk<Wait, GatewayCertificate | undefined> {
  const { owner, entraTenantId } = desired.home(tenant);
  const wanted = desiredCertificate(tenant, { owner, entraTenantId, vaultUrl: vault.url });
  if (wanted === undefined) return undefined;
  yield* hands.ensure(
    "roleAssignment",
    "certificateAccess",
    desired.vaultAccess(tenant, vault.id, ours, certificateRole(tenant)),
  );
  return gatewayCertificate(wanted, yield* hands.certificate(wanted));
}

/** Each machine is looked at from outside, by its own address: behind a load balancer nobody can tell whose certificate is seen. */
export function* showCertificate<Wait>(
  hands: Hands<Wait>,
  tenant: Installation,
  ground: Pick<desired.Ground, "regions" | "certificate">,
): Walk<Wait, void> {
  const { certificate } = ground;
  if (certificate === undefined) return;
  for (const { address, suffix } of machinesOf(tenant, ground))
    yield* hands.showsCertificate({ step: `certificateShown${suffix}`, address: address.ipAddress, certificate });
}

export interface CertificateSeen {
  step: string;
  address: string;
  certificate: GatewayCertificate;
}

export interface CertificateWait {
  work: Work;
  pace: OnboardingPace;
  wanted: TlsCertificate;
  /** Seconds since 1970. */
  deadline: number;
  checks: number;
}

export type CertificateState = { state: "ready" } | { state: "waiting"; expired: Failure };

/** Looks until the person's part is done; one look an execution, so that a wait of weeks keeps a short history. */
export const waitForCertificate = branch("waitForCertificate", function* (context, waiting: CertificateWait): Routine<void> {
  const { checkCertificate, failCertificate } = stepsOf<CertificateActivities>(context, waiting.pace.patience);
  const { work, pace, wanted, deadline, checks } = waiting;
  const found = yield* checkCertificate({ work, wanted });
  if (found.state === "ready") return;
  if (secondsNow(context) > deadline) {
    yield* failCertificate({ work, failure: found.expired });
    throw errorOf(found.expired);
  }
  yield* wait(context, pace.consentCheckIntervalInSeconds);
  context.df.continueAsNew({ ...waiting, checks: checks + 1 });
});
