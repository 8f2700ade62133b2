/** What bypass and restore do beside the rule: keep the tenant's stage, say each step, and look whether its gateways are well again. */
import type { Names } from "../../shared/azure/names.ts";
import { type Bypass, type BypassCause, bypassOf, settledStage } from "../../shared/desired/bypass.ts";
import type { Loop } from "../../shared/desired/state.ts";
import type { DesiredOf, Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { proveReachable } from "../../shared/proof/gateways.ts";
import type { LoopEvidence } from "../../shared/proof/loop.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { unrecovered } from "./recovery.ts";
import type { MailFlowWorld } from "./world.ts";

export type MailFlowActivities = ReturnType<typeof createMailFlowActivities>;

interface Said {
  work: Work;
  /** Seconds since 1970: the orchestration's own time, so that what is said twice is said once. */
  at: number;
}

export const createMailFlowActivities = ({ stores, resources, validateOutboundConnector, clock }: MailFlowWorld) => {
  const { operations, tenants, events } = stores;
  const recorded = recordingSteps(stores);

  const say = async ({ work, at }: Said, what: string, data: Record<string, unknown>): Promise<void> => {
    const { partnerId, tenantId, operationId, attempt = 1 } = work;
    await events.add({
      partnerId,
      tenantId,
      id: [operationId, ...(attempt === 1 ? [] : [attempt]), ...what.split(".")].join("-"),
      type: `tenant.mailflow.${what}`,
      subject: tenantId,
      at: new Date(at * 1000).toISOString(),
      data: { operationId, ...data },
    });
  };

  const setConditions = async (
    { partnerId, tenantId }: Work,
    status: "True" | "False",
    flow: { reason: string; message: string },
    ready = flow.reason,
  ): Promise<void> => {
    const { message } = flow;
    await tenants.setConditions(partnerId, tenantId, [
      { type: "MailFlowConnected", status, ...flow },
      { type: "Ready", status, reason: ready, message },
    ]);
  };

  /** Its mail goes through the gateway again. */
  const settle = async ({ partnerId, tenantId }: Work): Promise<Bypass["stage"]> => {
    let stage: Bypass["stage"] = "pilot";
    await tenants.change(partnerId, tenantId, (tenant) => {
      stage = settledStage(tenant) === "live" ? "live" : "pilot";
      return tenant.stage === "bypassed" ? { stage, facts: { ...tenant.facts, bypass: undefined } } : undefined;
    });
    return stage;
  };

  return {
    /** The stage moves before the first write: whatever is seen of the rule afterwards has its reason. */
    beginBypass: async ({ work, at, cause }: Said & { cause: BypassCause }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      await operations.recordProgress(partnerId, operationId, { status: "Running" });
      await tenants.change(partnerId, tenantId, ({ stage, facts }) => {
        // Whoever asks for what a policy has begun makes it their own: then no policy ends it.
        const known = bypassOf({ facts });
        if (stage === "bypassed" && known?.by === "policy" && cause.by === "call")
          return { facts: { ...facts, bypass: { ...known, ...cause } } };
        if (stage !== "pilot" && stage !== "live") return undefined;
        const bypass: Bypass = { ...cause, stage, since: new Date(at * 1000).toISOString() };
        return { stage: "bypassed", facts: { ...facts, bypass } };
      });
      await setConditions(work, "False", {
        reason: "Bypassing",
        message: `mail is being led round the gateway: ${cause.reason}`,
      });
      await say({ work, at }, "bypassing", { ...cause });
    },

    finishBypass: async ({ work, at, cause }: Said & { cause: BypassCause }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      const { facts } = await tenants.get(partnerId, tenantId);
      const before = bypassOf({ facts })?.stage;
      await setConditions(work, "False", { reason: "Bypassed", message: `mail goes round the gateway: ${cause.reason}` });
      await say({ work, at }, "bypassed", { ...cause, before });
      await operations.recordProgress(partnerId, operationId, {
        status: "Succeeded",
        waitingFor: null,
        result: { stage: "bypassed", before, ...cause },
      });
    },

    /** Where the rule certainly isn't there, mail goes through the gateway as before, and the stage says so. */
    failBypass: async ({
      work,
      at,
      rule,
      failure,
    }: Said & { rule: DesiredOf<Resources["bypassRule"]>; failure: Failure }): Promise<void> => {
      const { code, message } = failure;
      if ((await resources.bypassRule.observe(rule)).state === "absent") {
        await settle(work);
        await setConditions(work, "False", { reason: code, message: `mail could not be led round the gateway: ${message}` });
      } else await setConditions(work, "False", { reason: "BypassUnproven", message: `${code}: ${message}` });
      await say({ work, at }, "bypass.failed", { code, message });
      await operations.recordProgress(work.partnerId, work.operationId, {
        status: "Failed",
        waitingFor: null,
        error: detailOf(failure),
      });
    },

    beginRestore: async ({ work, at, cause }: Said & { cause: BypassCause }): Promise<void> => {
      await operations.recordProgress(work.partnerId, work.operationId, { status: "Running" });
      await say({ work, at }, "restoring", { ...cause });
    },

    checkRecovered: ({ work, names }: { work: Work; names: Names }): Promise<void> =>
      recorded(work, "recovered", async () => {
        const wrong = await unrecovered({ stores, clock }, work, names);
        if (wrong.length > 0)
          throw new ControlPlaneError(
            "NotRecovered",
            `mail goes on round the gateway: ${wrong.join("; ")}; restore again once that is over (GET /api/gateways, GET /api/listings)`,
            409,
          );
        return { result: undefined };
      }),

    checkGatewayAnswers: ({ work, loop }: { work: Work; loop: Loop }): Promise<void> =>
      recorded(work, "startTls", async () => {
        await proveReachable(validateOutboundConnector, loop);
        return { result: undefined };
      }),

    finishRestore: async ({
      work,
      at,
      cause,
      evidence,
    }: Said & { cause: BypassCause; evidence: LoopEvidence }): Promise<void> => {
      const stage = await settle(work);
      const message = "a probe mail came back through the gateway, and everybody's mail follows";
      await setConditions(work, "True", { reason: "LoopProven", message }, stage === "live" ? "Live" : "Onboarded");
      await say({ work, at }, "restored", { ...cause, stage });
      await operations.recordProgress(work.partnerId, work.operationId, {
        status: "Succeeded",
        waitingFor: null,
        result: { stage, proof: evidence },
      });
    },

    /** The stage stays `bypassed`: at most the probe mailbox's mail meets the gateway. */
    failRestore: async ({ work, at, failure }: Said & { failure: Failure }): Promise<void> => {
      const { code, message } = failure;
      await say({ work, at }, "restore.failed", { code, message });
      await operations.recordProgress(work.partnerId, work.operationId, {
        status: "Failed",
        waitingFor: null,
        error: detailOf(failure),
      });
    },
  };
};
