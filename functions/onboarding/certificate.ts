/**
 * Mission B15: the gateway's own certificate on its way into an onboarding. A person's part of it (an import, an issuer's account) is waited
 * for before anything costs money; Exchange Online hears of it only when every machine was seen to show it.
 */
import type { Finding } from "../../shared/api/plan.ts";
import {
  certificateRole,
  type GatewayCertificate,
  gatewayCertificate,
  tlsCertificate as desiredCertificate,
} from "../../shared/desired/certificate.ts";
import { machinesOf } from "../../shared/desired/machines.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import { branch } from "../../shared/durable/branches.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Routine } from "../../shared/durable/routine.ts";
import { errorOf, type Failure, failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, wait } from "../../shared/durable/wait.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import { importTask, issuerTask, SELF, type TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import type { OnboardingPace } from "./orchestrator.ts";
import type { Hands, Installation, Walk } from "./runbook.ts";
import type { OnboardingWorld } from "./world.ts";

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

export type CertificateActivities = ReturnType<typeof createCertificateActivities>;

const STEP = "tlsCertificate";

export const createCertificateActivities = (
  world: Pick<OnboardingWorld, "stores" | "resources" | "certificates" | "startTls">,
) => {
  const { operations } = world.stores;
  const recorded = recordingSteps(operations);
  return {
    /** Whether all that a person has to do for the certificate is done; what is missing, the operation says. */
    checkCertificate: async ({ work, wanted }: { work: Work; wanted: TlsCertificate }): Promise<CertificateState> => {
      const { partnerId, operationId } = work;
      const task = await taskOf(world, wanted);
      if (task === undefined) {
        await operations.recordProgress(partnerId, operationId, { waitingFor: null });
        return { state: "ready" };
      }
      await operations.recordStep(partnerId, operationId, STEP, { status: "Running" });
      await operations.recordProgress(partnerId, operationId, { waitingFor: { kind: "certificate", message: task } });
      return {
        state: "waiting",
        expired: failureFrom(new ControlPlaneError("CertificateMissing", `nobody did it in time: ${task}`, 409)),
      };
    },

    failCertificate: async ({ work: { partnerId, operationId }, failure }: { work: Work; failure: Failure }): Promise<void> => {
      await operations.recordProgress(partnerId, operationId, { waitingFor: null });
      await operations.recordStep(partnerId, operationId, STEP, { status: "Failed", error: detailOf(failure) });
    },

    /** From outside, by STARTTLS on port 25: the machine shows this certificate, and the world trusts it. */
    checkCertificateShown: ({ work, step, address, certificate }: CertificateSeen & { work: Work }): Promise<void> =>
      recorded(work, step, async () => {
        const { name, thumbprint, trusted } = certificate;
        const shown = await world.startTls.certificateAt({ address, name });
        if (shown.thumbprint !== thumbprint)
          throw new ControlPlaneError(
            "CertificateNotShown",
            `${address} shows another certificate (${shown.thumbprint}) than the vault's (${thumbprint})`,
            502,
            true,
          );
        if (trusted && shown.distrust !== undefined)
          throw new ControlPlaneError(
            "CertificateNotTrusted",
            `the certificate that ${address} shows would not be trusted: ${shown.distrust}; connectors were left as they are`,
            409,
          );
        return { result: undefined };
      }),
  };
};

/** What a person has to do; undefined when there is nothing. */
async function taskOf(
  { resources, certificates }: Pick<OnboardingWorld, "resources" | "certificates">,
  wanted: TlsCertificate,
): Promise<string | undefined> {
  const found = await resources.tlsCertificate.observe(wanted);
  if (found.state === "unknown")
    throw new ControlPlaneError(found.reason.code, `reading the certificate: ${found.reason.message}`, 503, true);
  if (wanted.issuer === undefined) {
    const changes = found.state === "present" ? resources.tlsCertificate.diff(wanted, found.actual) : undefined;
    if (changes?.length === 0) return undefined;
    return `${changes ? `the one that is there is of no use (${changes.map(({ path }) => path).join(", ")}); ` : ""}${importTask(wanted)}`;
  }
  if (wanted.issuer === SELF || found.state === "present") return undefined;
  const issuer = await certificates.readIssuer(wanted, wanted.issuer);
  if (issuer.state === "unknown")
    throw new ControlPlaneError(issuer.reason.code, `reading the issuer: ${issuer.reason.message}`, 503, true);
  return issuer.state === "present" && issuer.actual.enabled ? undefined : issuerTask(wanted);
}

/** What a plan says of the certificate beside its steps. */
export async function certificateFindings(
  world: Pick<OnboardingWorld, "resources" | "certificates">,
  target: Target,
  vaultUrl: string | undefined,
): Promise<Finding[]> {
  const { certificate } = target.spec.gateway;
  if (certificate === undefined) return [];
  const { owner, entraTenantId } = desired.home(target);
  const wanted = vaultUrl === undefined ? undefined : desiredCertificate(target, { owner, entraTenantId, vaultUrl });
  const task = wanted && (await taskOf(world, wanted).catch(() => undefined));
  const found = wanted && (await world.resources.tlsCertificate.observe(wanted));
  const forClients = found?.state !== "present" || found.actual.pending || found.actual.forClients;
  return [
    ...(certificate.issuer === SELF
      ? [
          {
            code: "CertificateNotTrusted",
            severity: "warning" as const,
            message:
              "Exchange Online does not trust a certificate that the vault signs itself: connectors go by addresses, with any certificate",
            remedy: "name an issuer of a public authority in gateway.certificate, or import a certificate of one",
          },
        ]
      : []),
    ...(task === undefined
      ? []
      : [{ code: "CertificateTask", severity: "warning" as const, message: `the onboarding will wait: ${task}`, remedy: task }]),
    ...(forClients
      ? []
      : [
          {
            code: "CertificateNotForClients",
            severity: "information" as const,
            message:
              "the certificate does not say that clients may show it, so Exchange Online goes on knowing the gateway by its addresses",
            remedy: "nothing; or take one with the extended key usage of clients (1.3.6.1.5.5.7.3.2)",
          },
        ]),
  ];
}
