/** What a change of stage does beside its rules: looks at gateways and their addresses first, and keeps what became of it. */
import type { Names } from "../../shared/azure/names.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { unreadiness } from "../../shared/proof/gateways.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { LoopEvidence } from "../../shared/proof/loop.ts";
import type { OnboardingWorld } from "./world.ts";

export type PromotionActivities = ReturnType<typeof createPromotionActivities>;

export const createPromotionActivities = ({ stores }: OnboardingWorld) => {
  const { operations, tenants } = stores;
  const recorded = recordingSteps(stores);

  const finish = async (
    { partnerId, tenantId, operationId }: Work,
    stage: "pilot" | "live",
    message: string,
    result: Record<string, unknown>,
  ): Promise<void> => {
    await tenants.change(partnerId, tenantId, ({ stage: current }) => (current === stage ? undefined : { stage }));
    await tenants.setConditions(partnerId, tenantId, [
      { type: "Ready", status: "True", reason: stage === "live" ? "Live" : "Onboarded", message },
    ]);
    await operations.recordProgress(partnerId, operationId, {
      status: "Succeeded",
      waitingFor: null,
      result: { stage, ...result },
    });
  };

  return {
    /** Everybody's mail goes to no gateway that is not well, and comes from no address that is listed. */
    checkReady: ({ work, names }: { work: Work; names: Names }): Promise<void> =>
      recorded(work, "ready", async () => {
        const wrong = await unreadiness(stores, work, names);
        if (wrong.length > 0)
          throw new ControlPlaneError(
            "NotReadyForEverybody",
            `everybody's mail stays where it is: ${wrong.join("; ")}; promote again once that is over (GET /api/gateways, GET /api/listings)`,
            409,
          );
        return { result: undefined };
      }),

    finishPromotion: ({
      work,
      domains,
      incoming,
      evidence,
    }: {
      work: Work;
      domains: string[];
      incoming: boolean;
      evidence: LoopEvidence;
    }): Promise<void> =>
      finish(work, "live", `mail of everybody in ${domains.join(", ")} runs through the gateway`, {
        domains,
        directions: incoming ? ["outgoing", "incoming"] : ["outgoing"],
        proof: evidence,
      }),

    finishDemotion: ({ work, pilots, evidence }: { work: Work; pilots: string[]; evidence: LoopEvidence }): Promise<void> =>
      finish(work, "pilot", "the pilot's mail runs through the gateway", { pilots, proof: evidence }),

    /** The stage stays what it was: what was widened halfway is finished, or taken back, by asking again. */
    failStageChange: async ({ work, failure }: { work: Work; failure: Failure }): Promise<void> => {
      await operations.recordProgress(work.partnerId, work.operationId, {
        status: "Failed",
        waitingFor: null,
        error: detailOf(failure),
      });
    },
  };
};
