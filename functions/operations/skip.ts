/** Skipping: an operator's word that a step is not waited for any longer, where doing without can at worst lose what waits in a machine. */
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { actorOf } from "./actor.ts";

/** POST /api/operations/{operationId}/steps/{step}/skip: saying it twice is saying it once. */
export const skipStep = (world: ApiWorld) =>
  endpoint("skipStep", world, async ({ caller, params: { operationId, step }, query, body: { reason } }) => {
    const { operations } = world.stores;
    const partnerId = partnerInScope(caller, query.partnerId);
    const { steps } = await operations.get(partnerId, operationId);
    if (!steps.some(({ name }) => name === step))
      throw refusal("StepNotFound", `operation ${operationId} has no step ${step}`, { target: "step" });
    const why = unskippable(step);
    if (why !== undefined) throw refusal("StepNotSkippable", `step ${step} can't be skipped: ${why}`, { target: "step" });
    return accepted(world, await operations.skipStep(partnerId, operationId, step, { by: actorOf(caller), reason }));
  });

/** Why a step is never skipped; undefined for those that wait for a machine's word, which a broken one never gives. */
function unskippable(step: string): string | undefined {
  if (step === "emptyQueues" || /^drained(-|$)/.test(step)) return undefined;
  return reasons.find(([steps]) => steps.test(step))?.[1] ?? "it waits for no proof and for no person";
}

const reasons: readonly [RegExp, string][] = [
  [/^(consent|azureAccess)$/, "nothing is created before access is proven"],
  [/^tlsCertificate$/, "what comes after it needs the certificate"],
  [/(ProbeMail|probeMail|canaryMail)$/, "nobody's mail moves before the loop is proven"],
  [/^(startTls|smartHostsAnswer|certificateShown.*)$/, "Exchange Online would send mail to what does not answer"],
  [/^aroundGateway$/, "mail that still goes to the gateway would be lost"],
  [/ReadBack$/, "mail would be sent on without what accepts it"],
  [/^ready$/, "everybody's mail goes to no gateway that is not well"],
];
