/** What onboarding would do, found out by walking the same runbook with hands that only look. */
import { createHash } from "node:crypto";
import type { Finding, Plan, PlannedResource } from "../../shared/api/plan.ts";
import type { Access } from "../../shared/runbook/access.ts";
import { lookAt, type Seen } from "../../shared/runbook/looking.ts";
import { onboardingSteps, type StepTitle } from "../../shared/runbook/steps.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { certificateFindings } from "./certificate-activities.ts";
import { dnsFindings } from "./dns-findings.ts";
import { preflightOf } from "./preflight.ts";
import { secretsForbidden, warningsOf } from "./warnings.ts";
import type { OnboardingWorld } from "./world.ts";

export async function planOf(world: OnboardingWorld, tenant: TenantRecord): Promise<Plan> {
  const { target, standing, consent, azure, sizes, around, seen } = await lookAt(world, tenant);
  const { spec, names } = target;
  const consented = consent.state === "granted";
  const planned = plannedOf(seen, onboardingSteps(spec, standing, tenant.stage === "live"));

  const checks = [
    ...(azure.state === "granted" ? await preflightOf(world, target, consented, sizes) : []),
    ...(around?.checks ?? []),
  ];
  const findings = [
    ...findingsOf("consent", consent),
    ...findingsOf("azureAccess", azure),
    ...secretsForbidden(tenant),
    ...(await warningsOf(world.azure, target, planned)),
    ...(await certificateFindings(
      world,
      target,
      planned.some(({ kind, action }) => kind === "vault" && action !== "create") ? world.vaults.urlOf(names.vault) : undefined,
    )),
    ...(around?.findings ?? []),
    ...(await dnsFindings(world, target, consented)),
  ];
  const hash = createHash("sha256")
    .update(JSON.stringify({ spec, names, resources: planned, checks, findings }))
    .digest("hex");
  return { tenantId: tenant.id, hash, resources: planned, checks, findings };
}

/** As the steps of an onboarding are shown: chapters are walked in another order than a reader expects. */
function plannedOf(seen: Seen[], steps: StepTitle[]): PlannedResource[] {
  const places = new Map(steps.map(({ name, title }, place) => [name, { place, title }]));
  const placeOf = ({ step }: Seen): number => places.get(step)?.place ?? -1;
  return seen
    .toSorted((one, other) => placeOf(one) - placeOf(other))
    .map(({ kind, step, action, changes, reason }) => ({
      kind,
      name: places.get(step)?.title ?? step,
      action,
      changes,
      ...(reason === undefined ? {} : { reason }),
    }));
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
