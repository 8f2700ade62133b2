/**
 * Mission B15: the gateway's own certificate in the runbook: in the vault before anything costs money, and shown by every machine before
 * Exchange Online hears of it.
 */
import {
  certificateRole,
  type GatewayCertificate,
  gatewayCertificate,
  tlsCertificate as desiredCertificate,
} from "../desired/certificate.ts";
import { machinesOf } from "../desired/machines.ts";
import * as desired from "../desired/state.ts";
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
