/** The kinds of operations that onboarding carries out. */
import type { KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { CERTIFICATE_DONE } from "./certificate.ts";
import { CONSENT_ANSWERED } from "./orchestrator.ts";

export const onboardingKinds = {
  onboarding: {
    waits: [
      { suffix: "-consent", event: CONSENT_ANSWERED },
      { suffix: "-azure-access", event: CONSENT_ANSWERED },
      { suffix: "-ground-certificate", event: CERTIFICATE_DONE },
    ],
  },
  promotion: { waits: [] },
  demotion: { waits: [] },
} satisfies Record<string, KindOfOperation>;
