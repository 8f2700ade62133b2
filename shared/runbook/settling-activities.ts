/** What an operation says while it waits for what nothing shows. */
import type { Work } from "../durable/resources.ts";
import type { OperationStore } from "../stores/operations.ts";

export type SettlingActivities = ReturnType<typeof createSettlingActivities>;

export const createSettlingActivities = (operations: Pick<OperationStore, "recordStep" | "recordProgress">) => ({
  beginSettling: async ({ work, step, until }: { work: Work; step: string; until: number }): Promise<void> => {
    const { partnerId, operationId } = work;
    const message = `what was written is known everywhere by ${new Date(until * 1000).toISOString()}`;
    await operations.recordStep(partnerId, operationId, step, { status: "Running" });
    await operations.recordProgress(partnerId, operationId, { waitingFor: { kind: "propagation", message } });
  },

  endSettling: async ({ work: { partnerId, operationId }, step }: { work: Work; step: string }): Promise<void> => {
    await operations.recordStep(partnerId, operationId, step, { status: "Succeeded" });
    await operations.recordProgress(partnerId, operationId, { waitingFor: null });
  },
});
