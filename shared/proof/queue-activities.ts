/** What gateways say of their queues, by their heartbeats. */
import { gatewayIdOf } from "../api/gateway-id.ts";
import type { Names } from "../azure/names.ts";
import type { Work } from "../durable/resources.ts";
import { type Failure, failureFrom } from "../durable/steps.ts";
import { ControlPlaneError, detailOf } from "../errors.ts";
import type { OperationChange } from "../stores/operations.ts";
import type { Stores } from "../stores/stores.ts";
import { skipped } from "./skipped.ts";

export type QueueActivities = ReturnType<typeof createQueueActivities>;

/** The machines that stand for mail, as heartbeats name them. */
export const gatewayIds = ({ tenantId }: Work, { regions }: Names): string[] =>
  regions.flatMap(({ machines }) => machines.map(({ virtualMachine }) => gatewayIdOf(tenantId, virtualMachine)));

export const createQueueActivities = ({
  stores: { operations, heartbeats },
}: {
  stores: Pick<Stores, "operations" | "heartbeats">;
}) => {
  const recordStep = ({ partnerId, operationId }: Work, step: string, change: Parameters<typeof operations.recordStep>[3]) =>
    operations.recordStep(partnerId, operationId, step, change);
  const recordProgress = ({ partnerId, operationId }: Work, change: OperationChange) =>
    operations.recordProgress(partnerId, operationId, change);

  async function wait(work: Work, message: string): Promise<void> {
    await recordProgress(work, { waitingFor: { kind: "propagation", message } });
  }

  async function proven(work: Work, step: string): Promise<void> {
    await recordStep(work, step, { status: "Succeeded" });
    await recordProgress(work, { waitingFor: null });
  }

  async function failed(work: Work, step: string, error: ControlPlaneError): Promise<Failure> {
    const failure = failureFrom(error);
    await recordStep(work, step, { status: "Failed", error: detailOf(failure) });
    await recordProgress(work, { waitingFor: null });
    return failure;
  }

  return {
    /** What a gateway still has, or that it doesn't say so; nothing when all of them said that they are empty. */
    checkQueues: async ({
      work,
      names,
      since,
      first,
    }: {
      work: Work;
      names: Names;
      since: number;
      first: boolean;
    }): Promise<{ waiting?: string }> => {
      if (await skipped(operations, work, "emptyQueues")) {
        await recordProgress(work, { waitingFor: null });
        return {};
      }
      if (first) await recordStep(work, "emptyQueues", { status: "Running" });
      const waiting: string[] = [];
      for (const id of gatewayIds(work, names)) {
        const last = (await heartbeats.find(work.partnerId, id))?.last;
        if (last === undefined || Date.parse(last.receivedAt) < since * 1000)
          waiting.push(`${id} has not reported since${last === undefined ? "" : ` ${last.receivedAt}`}`);
        else if (last.queue === null) waiting.push(`${id} says nothing of its queue`);
        else if (last.queue.count > 0) waiting.push(`${id} has ${last.queue.count} mails in its queue`);
      }
      if (waiting.length === 0) {
        await proven(work, "emptyQueues");
        return {};
      }
      const message = waiting.join("; ");
      await wait(work, message);
      return { waiting: message };
    },

    failQueues: async ({ work, waiting }: { work: Work; waiting: string }): Promise<Failure> => {
      const message = `no gateway was removed, since mail may wait in it: ${waiting}; mend the gateway and try again, or give the mail up with abandonQueues`;
      return failed(work, "emptyQueues", new ControlPlaneError("QueueNotEmpty", message, 409));
    },
  };
};
