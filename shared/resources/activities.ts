/** The few generic activities over all resources: ensure, confirm, poll; each records its step on the operation as it goes. */
import type { Azure } from "../azure/client.ts";
import type { Failure } from "../durable/steps.ts";
import { failureFrom } from "../durable/steps.ts";
import type { Work } from "../durable/resources.ts";
import { refuseOutdatedLoopGuid } from "../desired/loop-guid-in-force.ts";
import { ControlPlaneError, detailOf } from "../errors.ts";
import { collectingRequests } from "../cloud-requests.ts";
import type { Stores } from "../stores/stores.ts";
import type { Certificates } from "../vault/certificates.ts";
import { audited, auditedStep, type BeginChange, targetOf } from "./audited-step.ts";
import { type BeforeImage, type Change, type Ensured, confirmed, ensuring, known } from "./ensure.ts";
import { type Begun, type Done, done, type Resource, resourceOfKind } from "./resource.ts";

export type ResourceActivities = ReturnType<typeof createResourceActivities>;

interface ResourceStep {
  work: Work;
  /** Name in the operation's step graph. */
  step: string;
  kind: string;
  desired: unknown;
}

export const createResourceActivities = ({
  resources,
  stores,
  azure,
  certificates,
}: {
  resources: Record<string, Resource<never, unknown>>;
  stores: Pick<Stores, "operations" | "audit" | "tenants">;
  azure: Azure;
  certificates: Certificates;
}) => {
  const resourceOf = (kind: string) => resourceOfKind(resources, kind);
  const { operations, audit } = stores;
  const recorded = recordingSteps(stores);
  /** What is there is kept, and what will become of it is said, before the write is sent. */
  const keeping =
    ({ work, step, kind, desired }: ResourceStep, begin: BeginChange) =>
    async (image: BeforeImage, change: "created" | "updated" | "removed"): Promise<void> => {
      const { blob, hash } = await operations.recordBeforeImage(work.partnerId, work.operationId, step, change, image);
      const before = { state: image.before.state, blob, hash };
      const changes =
        change === "created"
          ? Object.entries(image.desired ?? {}).map(([path, to]) => ({ path, from: undefined, to }))
          : image.changes;
      await begin({ action: actions[change], target: targetOf(kind, desired), before, changes });
      if (change !== "removed") await refuseOutdatedLoopGuid(stores.tenants, work, desired);
    };

  return {
    /** Writes only what differs. While the cloud goes on working the step stays running and the answer says where to look. */
    ensureResource: (wanted: ResourceStep): Promise<Ensured<unknown>> =>
      recorded<Ensured<unknown>>(wanted.work, wanted.step, async (begin) => {
        const keep = keeping(wanted, begin);
        const ensured = await ensuring(resourceOf(wanted.kind), (image) =>
          keep(image, image.before.state === "absent" ? "created" : "updated"),
        )(wanted.desired);
        return { result: ensured, change: ensured.change, running: "begun" in ensured };
      }),

    /** Reads back; what can't be read or differs is a failure. */
    confirmResource: ({ work, step, kind, desired }: ResourceStep): Promise<unknown> =>
      recorded(work, step, async () => ({ result: await confirmed(resourceOf(kind), desired), change: "unchanged" })),

    /** Takes it away if it is ours; the step it belongs to stays as it is. */
    removeResource: ({ work, kind, desired }: Omit<ResourceStep, "step">): Promise<Done | Begun> =>
      audited(
        audit,
        work,
        { action: "remove", target: targetOf(kind, desired) },
        () => resourceOf(kind).remove(desired),
        ({ state }) => state === "begun",
      ),

    /**
     * Takes it away as a step of its own, after keeping what it was; gone already counts as done. While the cloud goes on working the
     * step stays running and the answer says where to look.
     */
    dropResource: (wanted: ResourceStep): Promise<Done | Begun> =>
      recorded<Done | Begun>(wanted.work, wanted.step, async (begin) => {
        const { kind, desired } = wanted;
        const resource = resourceOf(kind);
        const observed = known(kind, await resource.observe(desired));
        // What an earlier try has removed stays removed in the record.
        if (observed.state === "absent") return { result: done, change: "unchanged" };
        await keeping(wanted, begin)({ kind, desired, before: observed, changes: [] }, "removed");
        const removed = await resource.remove(desired);
        if (removed.state === "begun") return { result: removed, running: true };
        if (known(kind, await resource.observe(desired)).state === "present")
          throw new ControlPlaneError("ResourceSettling", `the ${kind} that was removed is still seen`, 503, true);
        return { result: done, change: "removed" };
      }),

    /** One GET on the cloud's long-running operation: a certificate's order is the vault's, all others are Azure Resource Manager's. */
    pollOperation: ({ operationUrl, entraTenantId }: { work: Work; operationUrl: string; entraTenantId: string }) =>
      (certificates.ownsOperation(operationUrl) ? certificates : azure).pollOperation({ operationUrl, entraTenantId }),

    recordFailure: async ({ work, step, failure }: { work: Work; step: string; failure: Failure }): Promise<void> => {
      const change = { status: "Failed", error: detailOf(failure) } as const;
      const operation = await operations.recordStep(work.partnerId, work.operationId, step, change);
      await auditedStep(audit, work, step).failed(operation, failure);
    },
  };
};

const actions = { created: "create", updated: "update", removed: "remove" } as const;

/** `running`: the step goes on after this call. */
type Recorded<T> = { result: T; change?: Change; running?: boolean };

/**
 * Runs one try of a step and records it on the operation: started, ended, tried how often, what changed, why it failed. What it writes it
 * says to `begin` before, for the audit log.
 */
export const recordingSteps =
  ({ operations, audit }: Pick<Stores, "operations" | "audit">) =>
  async <T>(work: Work, step: string, run: (begin: BeginChange) => Promise<Recorded<T>>): Promise<T> => {
    const { partnerId, operationId } = work;
    await operations.recordStep(partnerId, operationId, step, { status: "Running" });
    const log = auditedStep(audit, work, step);
    return collectingRequests(async (requestIds) => {
      try {
        const { result, change, running } = await run(log.begin);
        if (running) await log.pending(requestIds);
        else {
          const succeeded = { status: "Succeeded", ...(change ? { change } : {}) } as const;
          await log.succeeded(await operations.recordStep(partnerId, operationId, step, succeeded), change, requestIds);
        }
        return result;
      } catch (error) {
        const failure = failureFrom(error);
        if (failure.transient) await log.pending(requestIds, failure);
        else {
          const failed = { status: "Failed", error: detailOf(failure) } as const;
          await log.failed(await operations.recordStep(partnerId, operationId, step, failed), failure, requestIds);
        }
        throw error;
      }
    });
  };
