/** What onboarding would do, found out by walking the same runbook with hands that only look. */
import { settledStage } from "../../shared/desired/bypass.ts";
import type { Finding } from "../../shared/api/plan.ts";
import { typical } from "../../shared/plans/durations.ts";
import type { Planned } from "../../shared/plans/plans.ts";
import { plannedOf } from "../../shared/plans/resources.ts";
import { tasksOf } from "../../shared/plans/tasks.ts";
import { incompletable } from "../../shared/desired/completion.ts";
import { piloted } from "../../shared/desired/target.ts";
import type { Access } from "../../shared/runbook/access.ts";
import { lookAt, type Sight } from "../../shared/runbook/looking.ts";
import { onboardingSteps } from "../../shared/runbook/steps.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { certificateFindings } from "./certificate-activities.ts";
import { dnsFindings } from "./dns-findings.ts";
import { preflightOf } from "./preflight.ts";
import { secretsForbidden, warningsOf } from "./warnings.ts";
import type { OnboardingWorld } from "./world.ts";

export async function planOf(world: OnboardingWorld, tenant: TenantRecord): Promise<Planned> {
  const { target, standing, consent, azure, sizes, around, ...sight } = await lookAt(world, tenant);
  const { spec, names } = target;
  const consented = consent.state === "granted";
  const resources = plannedOf(sight.seen, onboardingSteps(spec, standing, settledStage(tenant) === "live"));

  const checks = [
    ...(azure.state === "granted" ? await preflightOf(world, target, consented, sizes) : []),
    ...(around?.checks ?? []),
  ];
  const findings = [
    ...findingsOf("consent", consent),
    ...findingsOf("azureAccess", azure),
    ...incompletable(tenant),
    ...secretsForbidden(tenant),
    ...(await warningsOf(world.azure, target, resources)),
    ...(await certificateFindings(
      world,
      target,
      resources.some(({ kind, action }) => kind === "vault" && action !== "create") ? world.vaults.urlOf(names.vault) : undefined,
    )),
    ...(around?.findings ?? []),
    ...(await dnsFindings(world, target, consented)),
  ];
  return { names, estimatedSeconds: secondsOf(sight, tenant), resources, checks, findings, tasks: tasksOf(findings) };
}

/** A proof needs rules that every server knows; a pilot is widened to and proven once more. What stands as it was proven is not proven again. */
function secondsOf({ seen, seconds }: Sight, tenant: TenantRecord): number {
  const changed = seen.filter(({ action }) => action !== "none" && action !== "blocked");
  if (changed.length === 0) return 0;
  const rule = changed.find(({ step }) => step === "forwardingRule");
  const known = Math.max(seconds, rule ? rule.endsAfter + typical.propagation : 0);
  const proven = known + typical.startTls + typical.probeMail;
  return piloted(tenant) ? proven : proven + typical.propagation + typical.probeMail;
}

const remedies = {
  consent: "open the link of GET /api/tenants/{tenantId}/consent as an administrator of the customer's Microsoft 365",
  azureAccess: "grant our application the named roles on the subscription: az role assignment create",
} as const;

const findingsOf = (wanted: keyof typeof remedies, access: Access): Finding[] => {
  if (access.state === "granted") return [];
  if (access.state === "refused")
    return [
      {
        code: access.failure.code,
        severity: "error",
        message: access.failure.message,
        remedy: "correct the spec, then plan again",
      },
    ];
  const code = wanted === "consent" ? "ConsentRequired" : "AzureAccessMissing";
  return [{ code, severity: "warning", message: access.message, remedy: remedies[wanted] }];
};
