/** What a repair does beside its resources: looks first and last, and refuses what would send mail where its way is not whole. */
import type { Difference } from "../../shared/api/drift.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { recordingSteps } from "../../shared/resources/activities.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { forwardingKinds } from "../../shared/exchange/rule-kinds.ts";
import type { Seen } from "../../shared/runbook/looking.ts";
import type { DriftRecord } from "../../shared/stores/drift.ts";
import { lookForDrift } from "./look.ts";
import { COMPARED, LOOK } from "./steps.ts";
import type { DriftWorld } from "./world.ts";

export type RepairActivities = ReturnType<typeof createRepairActivities>;

/** One thing to bring back. */
export type Repairable = Pick<Seen, "kind" | "step" | "wanted">;

export const createRepairActivities = (world: DriftWorld) => {
  const { operations, tenants, gateways } = world.stores;
  const recorded = recordingSteps(world.stores);

  async function lookNow({ partnerId, tenantId, operationId }: Work): Promise<{ record: DriftRecord; seen: Seen[] }> {
    const looked = await lookForDrift(world, { partnerId, tenantId }, operationId);
    if (!looked) throw impossible(`tenant ${tenantId} has nothing that stands, or another operation has taken over`);
    const { record, look } = looked;
    if (!look) throw unread(record.unread[0]?.reason ?? "it could not be read");
    return { record, seen: look.seen };
  }

  /** Mail goes to no gateway that is not well, and past nothing that protects it. */
  async function refuseUnlessWayIsWhole(
    { partnerId, tenantId }: Work,
    steps: string[],
    { differences, unread: unknown }: DriftRecord,
  ): Promise<void> {
    const broken = differences.find(({ kind, step }) => theWay.has(kind) && !steps.includes(step));
    if (broken) throw impossible(`mail is forwarded only when its way is whole, and "${broken.title}" differs too: repair both`);
    const unseen = unknown.find(({ kind }) => theWay.has(kind));
    if (unseen) throw unread(`"${unseen.title}", which mail takes: ${unseen.reason}`);
    const { facts } = await tenants.get(partnerId, tenantId);
    if (facts["ground"] === undefined) throw impossible(`tenant ${tenantId} was never onboarded to its end`);
    for (const { tenantId: of, id, state } of await gateways.of(partnerId))
      if (of === tenantId && state.health !== "healthy")
        throw impossible(`mail is forwarded only to gateways that are well, and ${id} is ${state.health}`);
  }

  return {
    beginRepair: async ({ work: { partnerId, operationId } }: { work: Work }): Promise<void> => {
      await operations.recordProgress(partnerId, operationId, { status: "Running" });
    },

    /** What still differs of what was asked for. What is as it should be by now is left alone. */
    lookForRepair: ({ work, steps }: { work: Work; steps: string[] }): Promise<Repairable[]> =>
      recorded(work, LOOK, async () => {
        const { record, seen } = await lookNow(work);
        const found: Repairable[] = [];
        let wayIsWhole: Promise<void> | undefined;
        for (const step of steps) {
          const unseen = record.unread.find((one) => one.step === step);
          if (unseen) throw unread(`"${unseen.title}": ${unseen.reason}`);
          const difference = record.differences.find((one) => one.step === step);
          if (!difference) await operations.recordStep(work.partnerId, work.operationId, step, { status: "Skipped" });
          else if (difference.repair !== "repair") throw impossible(`"${difference.title}" ${why[difference.repair]}`);
          else if (sendsMail.has(difference.kind)) await (wayIsWhole ??= refuseUnlessWayIsWhole(work, steps, record));
        }
        for (const { step } of inOrder(record, steps)) {
          const one = seen.find((known) => known.step === step);
          if (one) found.push({ kind: one.kind, step, wanted: one.wanted });
        }
        return { result: found };
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

const sendsMail = new Set<string>(forwardingKinds);

/** What forwarded mail needs on its way out and back. */
const theWay = new Set<string>([
  "inboundConnector",
  "outboundConnector",
  "guardRule",
  "approvalRule",
  "stripRule",
  "networkSecurityGroup",
  "gatewayVm",
  "guest",
] satisfies (keyof Resources)[]);

const why: Record<Exclude<Difference["repair"], "repair">, string> = {
  onboard: "would be made anew, which takes an onboarding",
  person: "is somebody else's object under our name: a person has to decide about it",
};

const impossible = (message: string): ControlPlaneError => new ControlPlaneError("RepairImpossible", message, 409);
const unread = (message: string): ControlPlaneError =>
  new ControlPlaneError("DriftUnread", `nothing is written: ${message}`, 503, true);
