/** What a roll-back does: takes over once the operation has stopped, takes one step back after the other, and says what can't be. */
import type { Azure } from "../../shared/azure/client.ts";
import { contentsOf } from "../../shared/azure/contents.ts";
import type { Place } from "../../shared/azure/place.ts";
import { refuseOutdatedLoopGuid } from "../../shared/desired/loop-guid-in-force.ts";
import type { Work } from "../../shared/durable/resources.ts";
import type { Failure } from "../../shared/durable/steps.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { audited, targetOf } from "../../shared/resources/audited-step.ts";
import { type BeforeImage, ensuring, known } from "../../shared/resources/ensure.ts";
import { remains } from "../../shared/resources/irreversible.ts";
import type { Begun, Done, Resource } from "../../shared/resources/resource.ts";
import { done, resourceOfKind } from "../../shared/resources/resource.ts";
import { undoOf } from "../../shared/resources/undo.ts";
import type { Names } from "../../shared/azure/names.ts";
import { gatewayIds } from "../../shared/proof/queue-activities.ts";
import { canceled, type StepRecord } from "../../shared/stores/operations.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import { type RollBackPlan, rollBackPlan, type Written } from "./roll-back-plan.ts";

export type RollBackActivities = ReturnType<typeof createRollBackActivities>;

export type TakenOver = { state: "stopping" } | { state: "over" } | ({ state: "ready" } & RollBackPlan);

/** Named with whose subscription it is in, for those who follow it. */
export type Undoing = Done | (Begun & { kind: string; entraTenantId: string });

export const createRollBackActivities = ({
  resources,
  azure,
  stores: { operations, tenants, gateways, heartbeats, credentials, audit },
}: {
  resources: Record<string, Resource<never, unknown>>;
  azure: Azure;
  stores: Stores;
}) => {
  const imageOf = async ({ beforeImage }: StepRecord): Promise<BeforeImage | undefined> =>
    beforeImage && ((await operations.readBeforeImage(beforeImage)) as BeforeImage);

  return {
    /** Only once nothing of the operation goes on is there anything to take back. */
    takeOver: async ({ work }: { work: Work }): Promise<TakenOver> => {
      const { partnerId, operationId, attempt = 1 } = work;
      const { status, attempt: present, cancel, steps } = await operations.get(partnerId, operationId);
      if (status !== "Running") return { state: "over" };
      if (present < attempt && !cancel?.rollBack?.stopped) return { state: "stopping" };
      const written: Written[] = [];
      for (const step of steps) {
        const image = await imageOf(step);
        if (image) written.push({ step: step.name, image, undone: step.undone !== undefined });
      }
      const plan = rollBackPlan(written);
      await operations.takeOver(partnerId, operationId, attempt, plan.proof ? proofSteps : []);
      // Machines that have gone since can't say it again.
      const proven = steps.some(({ name, status: ended }) => name === "emptyQueues" && ended !== "Pending" && ended !== "Failed");
      return { state: "ready", ...plan, proof: plan.proof && !proven };
    },

    /** Takes one step's change back; what is so already counts as done. */
    undoStep: async ({ work, step: name }: { work: Work; step: string }): Promise<Undoing> => {
      const { partnerId, operationId } = work;
      const step = await stepOf(work, name);
      const image = step.undone ? undefined : await imageOf(step);
      if (!image) return done;
      const { kind } = image;
      const resource = resourceOfKind(resources, kind);
      const undo = undoOf(resource, image);
      if (undo.as === "kept") {
        await operations.recordUndone(partnerId, operationId, name, undo);
        return done;
      }
      const { desired } = undo;
      const entraTenantId = (desired as { entraTenantId?: string }).entraTenantId ?? "";
      if (undo.as === "restored") {
        const ensured = await audited(
          audit,
          work,
          { action: "update", target: targetOf(kind, desired) },
          () => ensuring(resource, () => refuseOutdatedLoopGuid(tenants, work, desired))(desired),
          (written) => "begun" in written,
        );
        if ("begun" in ensured) return { ...ensured.begun, kind, entraTenantId };
      } else if (known(kind, await resource.observe(desired)).state === "present") {
        if (kind === "resourceGroup") await refuseForeign(desired as Place);
        const removed = await audited(
          audit,
          work,
          { action: "remove", target: targetOf(kind, desired) },
          () => resource.remove(desired),
          ({ state }) => state === "begun",
        );
        if (removed.state === "begun") return { ...removed, kind, entraTenantId };
        if (known(kind, await resource.observe(desired)).state === "present")
          throw new ControlPlaneError("ResourceSettling", `the ${kind} that was removed is still seen`, 503, true);
      }
      await operations.recordUndone(partnerId, operationId, name, { as: undo.as });
      return done;
    },

    skipEmptyQueues: async ({ work: { partnerId, operationId } }: { work: Work }): Promise<void> => {
      await operations.recordStep(partnerId, operationId, "emptyQueues", { status: "Skipped" });
    },

    finishRollBack: async ({ work, names, withGroup }: { work: Work; names: Names; withGroup: string[] }): Promise<void> => {
      const { partnerId, tenantId, operationId } = work;
      for (const step of withGroup) await operations.recordUndone(partnerId, operationId, step, { as: "removed" });
      const asLeft = await operations.get(partnerId, operationId);
      // Secrets are no resources; they went with their vault.
      const secrets = asLeft.steps.filter((step) => changed(step) && !step.undone && !step.beforeImage);
      if (withGroup.length > 0)
        for (const { name } of secrets) await operations.recordUndone(partnerId, operationId, name, { as: "removed" });
      const { steps, stageBefore } = await operations.get(partnerId, operationId);
      // What stood before a first onboarding was nothing of ours.
      const nothingLeft = stageBefore === "registered" && !steps.some(left);
      if (nothingLeft) {
        for (const id of gatewayIds(work, names)) {
          await gateways.remove(partnerId, id);
          await heartbeats.forget(partnerId, id);
        }
        await credentials.removeAll(partnerId, tenantId);
      }
      await tenants.change(partnerId, tenantId, ({ stage, facts }) => {
        // Names, addresses and secrets of what is gone are nobody's; of what stands they stay.
        if (nothingLeft) return { stage: "registered", facts: {} };
        const { drained: _drained, ...rest } = facts;
        return stage === "offboarding" && stageBefore ? { stage: stageBefore, facts: rest } : undefined;
      });
      const message = `operation ${operationId} was taken back`;
      await tenants.setConditions(partnerId, tenantId, [
        stageBefore === undefined || stageBefore === "registered" || stageBefore === "onboarding"
          ? { type: "Ready", status: "False", reason: "RolledBack", message }
          : { type: "Ready", status: "True", reason: "RolledBack", message },
      ]);
      const undone = (as: string) => steps.flatMap((step) => (step.undone?.as === as ? [step.name] : []));
      await operations.recordProgress(partnerId, operationId, {
        status: "Canceled",
        waitingFor: null,
        error: detailOf(canceled(operationId)),
        result: { rolledBack: { removed: undone("removed"), restored: undone("restored"), remains: remaining(steps) } },
      });
    },

    failRollBack: async ({ work, failure }: { work: Work; failure: Failure }): Promise<void> => {
      await operations.recordProgress(work.partnerId, work.operationId, {
        status: "Failed",
        waitingFor: null,
        error: detailOf(failure),
      });
    },
  };

  async function stepOf({ partnerId, operationId }: Work, name: string): Promise<StepRecord> {
    const step = (await operations.get(partnerId, operationId)).steps.find((one) => one.name === name);
    if (!step) throw new ControlPlaneError("StepUnknown", `operation ${operationId} has no step ${name}`);
    return step;
  }

  async function refuseForeign(group: Place): Promise<void> {
    const { foreign } = await contentsOf(azure, group);
    if (foreign.length > 0)
      throw new ControlPlaneError(
        "ForeignObject",
        `resource group ${group.resourceGroup} has what we did not make: ${foreign.join(", ")}; move or delete it, then cancel with rollBack again`,
        409,
      );
  }
};

const proofSteps = [
  { name: "aroundGateway", title: "Probe mails arrive without having met the gateway", branch: "proof" as const },
  { name: "emptyQueues", title: "No mail waits in a gateway", branch: "proof" as const },
];

const changed = ({ change }: StepRecord): boolean => change !== undefined && change !== "unchanged";
const left = (step: StepRecord): boolean => changed(step) && step.undone?.as === "kept" && step.name !== "marketplaceTerms";
/** What nobody can take back, in words. */
function remaining(steps: StepRecord[]): string[] {
  const gone = (part: string): boolean =>
    steps.some(({ name, undone }) => name.toLowerCase().includes(part) && undone?.as === "removed");
  return [
    ...steps.flatMap(({ title, undone }) => (undone?.as === "kept" ? [`${title}: ${undone.why}`] : [])),
    ...(gone("vault") ? [remains.vault] : []),
    ...(gone("application") ? [remains.applications] : []),
    ...(steps.some(({ name, tries }) => name.toLowerCase().includes("probemail") && tries > 0) ? [remains.probeMails] : []),
    ...(steps.some(({ name, status }) => name === "consent" && status === "Succeeded") ? [remains.consent] : []),
  ];
}
