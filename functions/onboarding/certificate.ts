/**
 * Mission B15: the gateway's own certificate on its way into an onboarding. A person's part of it (an import, an issuer's account) is waited
 * for before anything costs money.
 */
import { branch } from "../../shared/durable/branches.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Routine } from "../../shared/durable/routine.ts";
import { errorOf, type Failure, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow, waitForEventOr } from "../../shared/durable/wait.ts";
import type { TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import type { CertificateActivities } from "./certificate-activities.ts";
import type { OnboardingPace } from "./orchestrator.ts";

export interface CertificateWait {
  work: Work;
  pace: OnboardingPace;
  wanted: TlsCertificate;
  /** Seconds since 1970. */
  deadline: number;
  checks: number;
}

export type CertificateState = { state: "ready" } | { state: "waiting"; expired: Failure };

/** Only a hint to look at once. */
export const CERTIFICATE_DONE = "certificateDone";

/** Looks until the person's part is done; one look an execution, so that a wait of weeks keeps a short history. */
export const waitForCertificate = branch("waitForCertificate", function* (context, waiting: CertificateWait): Routine<void> {
  const { checkCertificate, failCertificate } = stepsOf<CertificateActivities>(context, waiting.pace.patience);
  const { work, pace, wanted, deadline, checks } = waiting;
  const answered = { instanceId: context.df.instanceId, event: CERTIFICATE_DONE };
  const found = yield* checkCertificate({ work, wanted, deadline, waiting: answered });
  if (found.state === "ready") return;
  if (secondsNow(context) > deadline) {
    yield* failCertificate({ work, failure: found.expired });
    throw errorOf(found.expired);
  }
  yield* waitForEventOr(context, CERTIFICATE_DONE, pace.consentCheckIntervalInSeconds);
  context.df.continueAsNew({ ...waiting, checks: checks + 1 });
});
