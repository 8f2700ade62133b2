/** What a repair does beside its resources: looks first and last, and refuses what would send mail where its way is not whole. */
import type { Difference } from "../../shared/api/drift.ts";
import { type Ground, loop as loopOf, type Loop } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { proveReachable } from "../../shared/proof/gateways.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { Seen } from "../../shared/runbook/looking.ts";
import type { DriftRecord } from "../../shared/stores/drift.ts";
import { sendsMail } from "./compare.ts";
import { lookForDrift } from "./look.ts";
import { COMPARED, LOOK, START_TLS } from "./steps.ts";
import { impossible, refuseUnlessWayIsWhole, unread } from "./whole-way.ts";
import type { DriftWorld } from "./world.ts";

export type RepairActivities = ReturnType<typeof createRepairActivities>;

/** One thing to bring back. */
export interface Repairable extends Pick<Seen, "kind" | "step" | "wanted"> {
  /** It sends mail there, and is the first that does. */
  proveFirst?: Loop;
}

export const createRepairActivities = (world: DriftWorld) => {
  const { operations, tenants } = world.stores;
  const recorded = recordingSteps(world.stores);

  async function lookNow({ partnerId, tenantId, operationId }: Work): Promise<{ record: DriftRecord; seen: Seen[] }> {
    const looked = await lookForDrift(world, { partnerId, tenantId }, operationId);
    if (!looked) throw impossible(`tenant ${tenantId} has nothing that stands, or another operation has taken over`);
    const { record, look } = looked;
    if (!look) throw unread(record.unread[0]?.reason ?? "it could not be read");
    return { record, seen: look.seen };
  }

  return {
    beginRepair: async ({ work: { partnerId, operationId } }: { work: Work }): Promise<void> => {
      await operations.recordProgress(partnerId, operationId, { status: "Running" });
    },

    /** What still differs of what was asked for. What is as it should be by now is left alone. */
    lookForRepair: ({ work, steps }: { work: Work; steps: string[] }): Promise<Repairable[]> =>
      recorded(work, LOOK, async () => {
        const { record, seen } = await lookNow(work);
        let wayIsWhole: Promise<void> | undefined;
        for (const step of steps) {
          const unseen = record.unread.find((one) => one.step === step);
          if (unseen) throw unread(`"${unseen.title}": ${unseen.reason}`);
          const difference = record.differences.find((one) => one.step === step);
          if (!difference) await operations.recordStep(work.partnerId, work.operationId, step, { status: "Skipped" });
          else if (difference.repair !== "repair")
            throw impossible(`"${difference.title}": ${difference.reason ?? whyNot[difference.repair]}`);
          else if (sendsMail.has(difference.kind))
            await (wayIsWhole ??= refuseUnlessWayIsWhole(world.stores, work, steps, record));
        }
        const found = inOrder(record, steps).flatMap(({ step }): Repairable[] => {
          const one = seen.find((known) => known.step === step);
          return one ? [{ kind: one.kind, step, wanted: one.wanted }] : [];
        });
        const first = found.find(({ kind }) => sendsMail.has(kind));
        if (first) {
          const tenant = await tenants.get(work.partnerId, work.tenantId);
          first.proveFirst = loopOf(targetOf(tenant), tenant.facts["ground"] as Ground);
        } else if (steps.some((step) => sendsMail.has(step)))
          await operations.recordStep(work.partnerId, work.operationId, START_TLS, { status: "Skipped" });
        return { result: found };
      }),

    /** The connector may be another one than the last proof was of. */
    checkWay: ({ work, loop }: { work: Work; loop: Loop }): Promise<void> =>
      recorded(work, START_TLS, async () => {
        await proveReachable(world.validateOutboundConnector, loop);
        return { result: undefined };
      }),

    finishRepair: async ({ work, steps }: { work: Work; steps: string[] }): Promise<void> => {
      const { record } = await recorded(work, COMPARED, async () => {
        const now = await lookNow(work);
        const left = now.record.differences.filter(({ step }) => steps.includes(step));
        if (left.length > 0)
          throw new ControlPlaneError(
            "DriftRemains",
            `brought back, and seen to differ: ${left.map(({ title }) => title).join(", ")}`,
            409,
            true,
          );
        return { result: now };
      });
      await operations.recordProgress(work.partnerId, work.operationId, {
        status: "Succeeded",
        waitingFor: null,
        result: { repaired: steps, differences: record.differences.map(({ step }) => step) },
      });
    },

    failRepair: async ({ work: { partnerId, operationId }, failure }: { work: Work; failure: Failure }): Promise<void> => {
      await operations.recordProgress(partnerId, operationId, { status: "Failed", waitingFor: null, error: detailOf(failure) });
    },
  };
};

const inOrder = ({ differences }: DriftRecord, steps: string[]): Difference[] =>
  differences.filter(({ step }) => steps.includes(step));

export const whyNot: Record<Exclude<Difference["repair"], "repair">, string> = {
  onboard: "it would be made anew, which takes an onboarding",
  person: "it is somebody else's object under our name: a person has to decide about it",
};
