/** The few generic activities over all resources: ensure, confirm, poll; each records its step on the operation as it goes. */
import type { Azure } from "../azure/client.ts";
import type { Failure } from "../durable/steps.ts";
import { failureFrom } from "../durable/steps.ts";
import type { Work } from "../durable/resources.ts";
import { ControlPlaneError, detailOf } from "../errors.ts";
import type { OperationStore } from "../stores/operations.ts";
import type { Certificates } from "../vault/certificates.ts";
import { type BeforeImage, type Change, type Ensured, confirmed, ensuring, known } from "./ensure.ts";
import { type Begun, type Done, done, type Resource } from "./resource.ts";

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
  operations,
  azure,
  certificates,
}: {
  resources: Record<string, Resource<never, unknown>>;
  operations: OperationStore;
  azure: Azure;
  certificates: Certificates;
}) => {
  const resourceOf = (kind: string): Resource<unknown, unknown> => {
    const resource = resources[kind];
    if (!resource) throw new ControlPlaneError("ResourceKindUnknown", `there is no resource of kind ${kind}`);
    return resource as Resource<unknown, unknown>;
  };
  const recorded = recordingSteps(operations);

  return {
    /** Writes only what differs. While the cloud goes on working the step stays running and the answer says where to look. */
    ensureResource: ({ work, step, kind, desired }: ResourceStep): Promise<Ensured<unknown>> =>
      recorded<Ensured<unknown>>(work, step, async () => {
        const ensured = await ensuring(resourceOf(kind), async (image) => {
          const change = image.before.state === "absent" ? "created" : "updated";
          await operations.recordBeforeImage(work.partnerId, work.operationId, step, change, image);
        })(desired);
        return { result: ensured, change: ensured.change, running: "begun" in ensured };
      }),

    /** Reads back; what can't be read or differs is a failure. */
    confirmResource: ({ work, step, kind, desired }: ResourceStep): Promise<unknown> =>
      recorded(work, step, async () => ({ result: await confirmed(resourceOf(kind), desired), change: "unchanged" })),

    /** Takes it away if it is ours; the step it belongs to stays as it is. */
    removeResource: async ({ kind, desired }: Omit<ResourceStep, "step">): Promise<Done | Begun> =>
      resourceOf(kind).remove(desired),

    /**
     * Takes it away as a step of its own, after keeping what it was; gone already counts as done. While the cloud goes on working the
     * step stays running and the answer says where to look.
     */
    dropResource: ({ work, step, kind, desired }: ResourceStep): Promise<Done | Begun> =>
      recorded<Done | Begun>(work, step, async () => {
        const resource = resourceOf(kind);
        const observed = known(kind, await resource.observe(desired));
        // What an earlier try has removed stays removed in the record.
        if (observed.state === "absent") return { result: done, change: "unchanged" };
        const image: BeforeImage = { kind, desired, before: observed, changes: [] };
        await operations.recordBeforeImage(work.partnerId, work.operationId, step, "removed", image);
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
      await operations.recordStep(work.partnerId, work.operationId, step, { status: "Failed", error: detailOf(failure) });
    },
  };
};

/** `running`: the step goes on after this call. */
type Recorded<T> = { result: T; change?: Change; running?: boolean };

/** Runs one try of a step and records it on the operation: started, ended, tried how often, what changed, why it failed. */
export const recordingSteps =
  (operations: OperationStore) =>
  async <T>({ partnerId, operationId }: Work, step: string, run: () => Promise<Recorded<T>>): Promise<T> => {
    await operations.recordStep(partnerId, operationId, step, { status: "Running" });
    try {
      const { result, change, running } = await run();
      if (!running)
        await operations.recordStep(partnerId, operationId, step, { status: "Succeeded", ...(change ? { change } : {}) });
      return result;
    } catch (error) {
      const failure = failureFrom(error);
      if (!failure.transient)
        await operations.recordStep(partnerId, operationId, step, { status: "Failed", error: detailOf(failure) });
      throw error;
    }
  };
