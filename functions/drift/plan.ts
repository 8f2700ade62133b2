/** What a repair would bring back, found out by one look that is not kept. */
import type { Check } from "../../shared/api/plan.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { typical, typicalSeconds } from "../../shared/plans/durations.ts";
import type { Planned } from "../../shared/plans/plans.ts";
import { plannedOf } from "../../shared/plans/resources.ts";
import { lookAt, type Seen } from "../../shared/runbook/looking.ts";
import { adoptedOf } from "../../shared/desired/adopted.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { whyNot } from "./activities.ts";
import { compared, type Comparison, sendsMail } from "./compare.ts";
import { differing } from "./repair.ts";
import { standingSteps } from "./steps.ts";
import { refuseUnlessWayIsWhole } from "./whole-way.ts";
import type { DriftWorld } from "./world.ts";

/** `asked`: which steps; without them all that differed when it was last looked at, as a repair takes them. */
export async function planRepair(world: DriftWorld, tenant: TenantRecord, asked: string[] | undefined): Promise<Planned> {
  const chosen = await differing(world.stores, tenant, asked);
  const look = await lookAt(world, tenant, { asFound: adoptedOf(tenant) });
  const titles = standingSteps(tenant);
  const comparison = compared(look, titles);
  const seen = look.seen.filter(({ step }) => chosen.includes(step)).map((one) => asRepaired(one, comparison));
  const { names } = targetOf(tenant);
  const sending = seen.some(({ kind, action }) => sendsMail.has(kind) && action !== "none");
  const written = seen.reduce((seconds, { kind, action }) => seconds + typicalSeconds(kind, action), 0);
  return {
    names,
    estimatedSeconds: written + (sending ? typical.startTls : 0),
    resources: plannedOf(seen, titles),
    checks: sending ? [await wayIsWhole(world, tenant, chosen, comparison)] : [],
    findings: [],
    tasks: [],
  };
}

/** A repair makes nothing anew and takes nothing of others: it would end there. */
function asRepaired(one: Seen, { differences, unread }: Comparison): Seen {
  const unseen = unread.find(({ step }) => step === one.step);
  if (unseen) return { ...one, action: "unknown", reason: unseen.reason };
  const difference = differences.find(({ step }) => step === one.step);
  if (!difference || difference.repair === "repair") return one;
  return { ...one, action: "blocked", reason: difference.reason ?? whyNot[difference.repair] };
}

async function wayIsWhole(
  { stores }: DriftWorld,
  { partnerId, id: tenantId }: TenantRecord,
  chosen: string[],
  comparison: Comparison,
): Promise<Check> {
  const code = "RepairImpossible";
  try {
    await refuseUnlessWayIsWhole(stores, { partnerId, tenantId }, chosen, comparison);
    return { code, status: "pass", message: "the way that forwarded mail takes is whole, and its gateways are well" };
  } catch (error) {
    if (!(error instanceof ControlPlaneError)) throw error;
    return {
      code,
      status: error.transient ? "unknown" : "fail",
      message: error.message,
      remedy: "repair what the message names, too",
    };
  }
}
