/** Mission E1 to E3, on the customer's premises: the last report that came from there, and the task of having one without complaints. */
import type { Check } from "../../shared/api/plan.ts";
import type { Sight, TaskCheck } from "../../shared/stores/tasks.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { PremisesReport } from "../../shared/ucm/report.ts";
import { premisesChecks } from "./ucm-exchange.ts";
import type { OnboardingWorld } from "./world.ts";

export interface KeptReport {
  at: string;
  found: PremisesReport;
}

export const keptReport = ({ facts }: Pick<TenantRecord, "facts">): KeptReport | undefined =>
  facts["ucmReport"] as KeptReport | undefined;

interface World extends Pick<OnboardingWorld, "settings"> {
  stores: Pick<OnboardingWorld["stores"], "tasks">;
}

/** Opens the task while something is missing on the premises, or nobody has looked there; closes it when nothing is. */
export async function followUcmReport({ settings, stores }: World, tenant: TenantRecord): Promise<void> {
  const { partnerId, id: tenantId, spec } = tenant;
  const sight = sightOf(tenant);
  const key = { partnerId, tenantId, kind: "ucmReport" as const, subject: "" };
  if (sight.found === "done") return stores.tasks.end(key, "done", sight.message);
  if (sight.found === "needless") return stores.tasks.end(key, "canceled", sight.message);
  const task = await stores.tasks.open({
    ...key,
    title: "Have Exchange on the customer's premises checked for itrezzo UCM",
    instructions:
      "An administrator of that Exchange runs the check script that the link's answer has: it only looks, and posts what it found. The set script there sets what is missing; then the check script, fetched anew, looks once more.",
    link: `${settings.publicUrl}/api/tenants/${tenantId}/ucm`,
    fields: [{ label: "Service account", value: spec.ucm?.serviceAccount ?? "" }],
  });
  await stores.tasks.keepSight(task, sight);
}

/** By the last report: nobody but the customer's own administrator can look there. */
export const ucmReportCheck = ({ stores }: { stores: Pick<OnboardingWorld["stores"], "tenants"> }): TaskCheck => ({
  async look({ partnerId, tenantId }) {
    const tenant = await stores.tenants.find(partnerId, tenantId);
    return tenant ? sightOf(tenant) : { found: "needless", message: `there is no tenant ${tenantId} any more` };
  },
});

function sightOf(tenant: TenantRecord): Sight {
  const { ucm } = tenant.spec;
  if (ucm?.exchange?.kind !== "onPremises") return { found: "needless", message: "no UCM works with an Exchange on premises" };
  const report = keptReport(tenant);
  if (!report) return { found: "missing", message: "no report has come from the customer's premises yet" };
  const lacking = premisesChecks(ucm.serviceAccount, ucm.exchange.version, report.found).filter(
    ({ status }) => status !== "pass",
  );
  if (lacking.length === 0) return { found: "done", message: `the report of ${report.at} has nothing missing` };
  return { found: "missing", message: `the report of ${report.at}: ${lacking.map(complaint).join("; ")}` };
}

const complaint = ({ message, remedy }: Check): string => (remedy === undefined ? message : `${message} (${remedy})`);
