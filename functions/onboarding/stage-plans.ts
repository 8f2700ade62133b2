/** What a promotion or a demotion would do, found out by walking the same way with hands that only look. */
import type { Check } from "../../shared/api/plan.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { lookingWay } from "../../shared/plans/looking-way.ts";
import type { Planned } from "../../shared/plans/plans.ts";
import { plannedOf } from "../../shared/plans/resources.ts";
import { type Sight, walked } from "../../shared/runbook/looking.ts";
import type { StepTitle } from "../../shared/runbook/steps.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { refuseUnlessPiloted } from "./piloted.ts";
import { demotionSteps, promotionSteps } from "./promotion-steps.ts";
import { unreadiness } from "../../shared/proof/gateways.ts";
import { narrowToPilot, type StageHands, widenToEverybody } from "./stages.ts";
import type { OnboardingWorld } from "./world.ts";

type World = Pick<OnboardingWorld, "resources" | "stores">;

export async function planPromotion({ resources, stores }: World, tenant: TenantRecord): Promise<Planned> {
  const seen = await seenBy(widenToEverybody, resources, tenant, promotionSteps(tenant.spec));
  const { names, work } = targetOf(tenant);
  const wrong = await unreadiness(stores, work, names);
  const ready: Check =
    wrong.length === 0
      ? {
          code: "NotReadyForEverybody",
          status: "pass",
          message: "gateways are healthy, and no blocklist has an address of theirs",
        }
      : { code: "NotReadyForEverybody", status: "fail", message: wrong.join("; "), remedy: "promote once that is over" };
  return { ...seen, checks: [ready] };
}

export const planDemotion = ({ resources }: World, tenant: TenantRecord): Promise<Planned> =>
  seenBy(narrowToPilot, resources, tenant, demotionSteps());

async function seenBy(
  way: typeof widenToEverybody,
  resources: Resources,
  tenant: TenantRecord,
  steps: StepTitle[],
): Promise<Planned> {
  refuseUnlessPiloted(tenant);
  const target = targetOf(tenant);
  const sight: Sight = { seen: [], seconds: 0 };
  await walked(way(lookingHands(resources, sight), target, tenant.facts["ground"] as Ground));
  const told = { resources: plannedOf(sight.seen, steps), checks: [], findings: [], tasks: [] };
  return { names: target.names, estimatedSeconds: sight.seconds, ...told };
}

const lookingHands = (resources: Resources, sight: Sight): StageHands<Promise<unknown>, void> => ({
  ...lookingWay(
    resources,
    sight,
    "a change of stage leaves it alone and insists that it is as the onboarding made it: onboard again first",
  ),
  *ready() {
    // Told by a check.
  },
});
