/** What an onboarding does for the gateway's own certificate beside its resource, and what a plan says of it. */
import type { Finding } from "../../shared/api/plan.ts";
import { tlsCertificate as desiredCertificate } from "../../shared/desired/certificate.ts";
import { home } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { Work } from "../../shared/durable/resources.ts";
import { type Failure, failureFrom } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { createCertificateProof } from "../../shared/proof/certificate-shown.ts";
import { importTask, isImported, issuerTask, type TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import { SELF } from "../../shared/vault/issuer.ts";
import type { NewTask, TaskCheck } from "../../shared/stores/tasks.ts";
import type { CertificateState, CertificateWait } from "./certificate.ts";
import type { OnboardingWorld } from "./world.ts";

export type CertificateActivities = ReturnType<typeof createCertificateActivities>;

const STEP = "tlsCertificate";

export const createCertificateActivities = (
  world: Pick<OnboardingWorld, "stores" | "resources" | "certificates" | "startTls">,
) => {
  const { operations, tasks } = world.stores;
  return {
    /** Whether all that a person has to do for the certificate is done; what is missing, the operation says. */
    checkCertificate: async ({ work, wanted, deadline, waiting }: CertificateLook): Promise<CertificateState> => {
      const { partnerId, operationId } = work;
      const task = await taskOf(world, wanted);
      if (task === undefined) {
        await tasks.end({ ...work, kind: "certificate", subject: "" }, "done", READY);
        await operations.recordProgress(partnerId, operationId, { waitingFor: null });
        return { state: "ready" };
      }
      await operations.recordStep(partnerId, operationId, STEP, { status: "Running" });
      const expiresAt = new Date(deadline * 1000).toISOString();
      const { id: taskId } = await tasks.open({ ...certificateTask(work, wanted, task), expiresAt, waiting });
      await operations.recordProgress(partnerId, operationId, { waitingFor: { kind: "certificate", message: task, taskId } });
      return {
        state: "waiting",
        expired: failureFrom(new ControlPlaneError("CertificateMissing", `nobody did it in time: ${task}`, 409)),
      };
    },

    failCertificate: async ({ work, failure }: { work: Work; failure: Failure }): Promise<void> => {
      const { partnerId, operationId } = work;
      await tasks.giveUp({ ...work, kind: "certificate", subject: "" }, failure.message);
      await operations.recordProgress(partnerId, operationId, { waitingFor: null });
      await operations.recordStep(partnerId, operationId, STEP, { status: "Failed", error: detailOf(failure) });
    },

    ...createCertificateProof(world),
  };
};

interface CertificateLook extends Pick<CertificateWait, "work" | "wanted" | "deadline"> {
  /** Who goes on when it is there. */
  waiting: { instanceId: string; event: string };
}

const READY = "the certificate is there, and can be used";

const certificateTask = ({ partnerId, tenantId, operationId }: Work, wanted: TlsCertificate, task: string): NewTask => ({
  partnerId,
  tenantId,
  kind: "certificate",
  subject: "",
  operationId,
  title:
    wanted.issuer === undefined
      ? `Import the gateway's certificate for ${wanted.name}`
      : `Set up the certificate issuer ${wanted.issuer}`,
  instructions: task,
  fields: [
    { label: "Vault", value: wanted.vaultUrl },
    { label: "Name in the vault", value: wanted.certificate },
    { label: "DNS name", value: wanted.name },
    ...(wanted.issuer === undefined ? [] : [{ label: "Issuer", value: wanted.issuer }]),
  ],
  about: { wanted },
});

/** How to see that a person's part of the certificate is done. */
export const certificateCheck = (world: Pick<OnboardingWorld, "resources" | "certificates">): TaskCheck => ({
  async look({ about }) {
    const missing = await taskOf(world, about["wanted"] as TlsCertificate);
    return missing === undefined ? { found: "done", message: READY } : { found: "missing", message: missing };
  },
});

/** What a person has to do; undefined when there is nothing. */
async function taskOf(
  { resources, certificates }: Pick<OnboardingWorld, "resources" | "certificates">,
  wanted: TlsCertificate,
): Promise<string | undefined> {
  const found = await resources.tlsCertificate.observe(wanted);
  if (found.state === "unknown")
    throw new ControlPlaneError(found.reason.code, `reading the certificate: ${found.reason.message}`, 503, true);
  if (isImported(wanted)) {
    const changes = found.state === "present" ? resources.tlsCertificate.diff(wanted, found.actual) : undefined;
    if (changes?.length === 0) return undefined;
    return `${changes ? `the one that is there is of no use (${changes.map(({ path }) => path).join(", ")}); ` : ""}${importTask(wanted)}`;
  }
  if (wanted.issuer === undefined || wanted.issuer === SELF || found.state === "present") return undefined;
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
  const { owner, entraTenantId } = home(target);
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
    ...(certificate.acme && world.certificates.acmeDirectory === undefined
      ? [
          {
            code: "AcmeNotConfigured",
            severity: "error" as const,
            message: "this deployment has no ACME server, so nobody would sign the gateway's certificate",
            remedy: "set ACME_DIRECTORY, or name an issuer of the vault in gateway.certificate, or leave both out and import one",
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
