/** The kinds of operations that onboarding carries out. */
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import { CERTIFICATE_DONE } from "./certificate.ts";
import { onboardingOf } from "./http.ts";
import { CONSENT_ANSWERED } from "./orchestrator.ts";
import { demotionOf, promotionOf } from "./promotion-http.ts";
import type { OnboardingWorld } from "./world.ts";

export const onboardingKinds = (world: OnboardingWorld) =>
  ({
    // By the spec as it is now: whoever tries again has seen what became of the plan.
    onboarding: kindOf(() => onboardingOf(world, undefined), {
      waits: [
        { suffix: "-consent", event: CONSENT_ANSWERED },
        { suffix: "-azure-access", event: CONSENT_ANSWERED },
        { suffix: "-ground-vault-certificate", event: CERTIFICATE_DONE },
        // Of one that was begun before 1.1.0.
        { suffix: "-ground-certificate", event: CERTIFICATE_DONE },
      ],
      rollBackRefused: (_operation, { stage }) =>
        stage === "registered" || stage === "onboarding" ? undefined : noWayBack.onboarding,
    }),
    promotion: kindOf(() => promotionOf(world, undefined), { waits: [] }),
    demotion: kindOf(() => demotionOf(world, undefined), { waits: [] }),
  }) satisfies Record<string, KindOfOperation>;
