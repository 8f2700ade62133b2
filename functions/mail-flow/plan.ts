/** What a bypass or a restore would do, found out by walking the same way with hands that only look. */
import type { Check } from "../../shared/api/plan.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { lookingWay } from "../../shared/plans/looking-way.ts";
import type { Planned } from "../../shared/plans/plans.ts";
import { plannedOf } from "../../shared/plans/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { type Sight, walked } from "../../shared/runbook/looking.ts";
import type { StepTitle } from "../../shared/runbook/steps.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { unrecovered } from "./recovery.ts";
import { refuseUnlessBypassed, refuseUnlessLed } from "./redirections.ts";
import { bypassSteps, restoreSteps } from "./steps.ts";
import { goAround, goBack } from "./ways.ts";
import type { MailFlowDoors } from "./world.ts";

interface World extends Pick<MailFlowDoors, "stores" | "clock"> {
  resources: Resources;
}

export async function planBypass({ resources }: World, tenant: TenantRecord): Promise<Planned> {
  refuseUnlessLed(tenant);
  const sight: Sight = { seen: [], seconds: 0 };
  const { ensure, prove } = lookingWay(resources, sight, "");
  await walked(goAround({ ensure, proveAround: prove }, targetOf(tenant), groundOf(tenant)));
  return planned(tenant, sight, bypassSteps());
}

export async function planRestore({ resources, stores, clock }: World, tenant: TenantRecord): Promise<Planned> {
  refuseUnlessBypassed(tenant);
  const { work, names } = targetOf(tenant);
  const sight: Sight = { seen: [], seconds: 0 };
  const looking = lookingWay(resources, sight, "the way back insists that it is as the onboarding made it: repair it first");
  await walked(goBack({ ...looking, *recovered() {} }, targetOf(tenant), groundOf(tenant)));
  const wrong = await unrecovered({ stores, clock }, work, names);
  const code = "NotRecovered";
  const recovered: Check =
    wrong.length === 0
      ? { code, status: "pass", message: "gateways are healthy and report, and no blocklist has an address of theirs" }
      : { code, status: "fail", message: wrong.join("; "), remedy: "restore once that is over" };
  return { ...planned(tenant, sight, restoreSteps()), checks: [recovered] };
}

const groundOf = ({ facts }: TenantRecord): Ground => facts["ground"] as Ground;

const planned = (tenant: TenantRecord, { seen, seconds }: Sight, steps: StepTitle[]): Planned => ({
  names: targetOf(tenant).names,
  estimatedSeconds: seconds,
  resources: plannedOf(seen, steps),
  checks: [],
  findings: [],
  tasks: [],
});
