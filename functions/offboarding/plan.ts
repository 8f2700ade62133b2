/** What an offboarding would take away, found out by walking the same way out with hands that only look. */
import type { Finding } from "../../shared/api/plan.ts";
import * as desired from "../../shared/desired/state.ts";
import { type Target, targetOf } from "../../shared/desired/target.ts";
import { typical } from "../../shared/plans/durations.ts";
import type { Planned } from "../../shared/plans/plans.ts";
import { plannedOf } from "../../shared/plans/resources.ts";
import { tasksOf } from "../../shared/plans/tasks.ts";
import { looksInto, type Sight, walked } from "../../shared/runbook/looking.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { type Contents, contentsOf } from "../../shared/azure/contents.ts";
import { standingFootprint } from "./footprint.ts";
import { refuseUnlessBuilt } from "./leaving.ts";
import type { Footprint } from "../../shared/desired/removals.ts";
import { offboardingSteps } from "./steps.ts";
import { type LeavingHands, wayOut } from "./way-out.ts";
import type { OffboardingWorld } from "./world.ts";

type World = Pick<OffboardingWorld, "azure" | "resources">;

export async function planOffboarding(world: World, tenant: TenantRecord): Promise<Planned> {
  refuseUnlessBuilt(tenant);
  const target = targetOf(tenant);
  const ground = await standingFootprint(world.resources, target, tenant);
  const sight: Sight = { seen: [], seconds: 0 };
  await walked(wayOut(lookingHands(world, sight), target, ground));
  const findings = findingsOf(target, ground);
  return {
    names: target.names,
    estimatedSeconds: sight.seconds,
    resources: plannedOf(sight.seen, [...offboardingSteps(target, ground), ...spfTitles(target)]),
    checks: [],
    findings,
    tasks: tasksOf(findings),
  };
}

function lookingHands({ azure, resources }: World, sight: Sight): LeavingHands<Promise<unknown>> {
  const look = looksInto(resources, sight);
  return {
    *drop({ kind, step, desired: unwanted }) {
      yield look(kind, step, unwanted, "drop");
    },
    *proveEmpty() {
      sight.seconds += typical.propagation + typical.queue;
    },
    *withdraw(step, record) {
      const found = (yield resources.spfRecord.observe(record)) as Awaited<ReturnType<typeof resources.spfRecord.observe>>;
      // What was published by hand stays: it is a task.
      if (found.state === "present" && found.actual.added.length > 0) yield look("spfRecord", step, record, "drop");
    },
    *stopWatching() {
      // Only in our own stores.
    },
    *dropGroup(step, group) {
      yield look("resourceGroup", step, group, "drop");
      const seen = sight.seen.at(-1);
      if (seen?.step !== step || seen.action !== "remove") return;
      const { ours, foreign } = (yield contentsOf(azure, group)) as Contents;
      if (foreign.length > 0) {
        seen.action = "blocked";
        seen.reason = `it has what we did not make: ${foreign.join(", ")}`;
      } else if (ours.length > 0) seen.reason = `with all that is in it: ${ours.join(", ")}`;
    },
  };
}

const spfTitles = (target: Target) =>
  target.spec.microsoft365.domains.map((_, index) => ({ name: `spfRecord-${index + 1}`, title: `SPF record ${index + 1}` }));

function findingsOf({ spec, names }: Target, ground: Footprint): Finding[] {
  const { domains } = spec.microsoft365;
  return [
    {
      code: "VaultRecoverable",
      severity: "information",
      message: `the vault ${names.vault} goes with its group; for 30 days it can be recovered, and its name is taken`,
      remedy: "nothing; or purge it, once nobody needs its secrets any more",
    },
    ...(spec.database?.kind === "azureSql"
      ? [
          {
            code: "DatabasesGo",
            severity: "warning" as const,
            message: "the databases in Azure SQL go with their group, and what is in them is the customer's",
            remedy: 'save what is to be kept, then send "deleteDatabases": true',
          },
        ]
      : []),
    ...(ground.regions.some(({ machines }) => machines.length > 0)
      ? [
          {
            code: "SpfTaskAfter",
            severity: "warning" as const,
            message: `SPF records of ${domains.join(", ")} may name ${desired.egressIps(ground).join(", ")}, which will be somebody else's addresses`,
            remedy: "whoever published them there by hand takes them out afterwards",
          },
        ]
      : []),
    {
      code: "ConsentStays",
      severity: "information",
      message: "our application's consent stays in the customer's organisation",
      remedy: "an administrator removes the enterprise application afterwards",
    },
  ];
}
