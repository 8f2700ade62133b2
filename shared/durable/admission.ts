/**
 * Whether an activity may still act for its operation. Cancelling is a flag on the operation's record, since terminating an orchestration
 * reaches none of its children: whatever is under way reads the flag before it acts, and ends.
 */
import { ControlPlaneError } from "../errors.ts";
import { canceled, type OperationHeader } from "../stores/operations.ts";

/** How far an operation's attempts have come. */
export interface Attempts {
  attemptsOf(partnerId: string, operationId: string): Promise<Pick<OperationHeader, "attempt" | "cancel" | "status"> | undefined>;
}

/** @returns throws OperationCanceled, and OperationSuperseded for what an earlier attempt has left running; false where nothing is left to do */
export const admission =
  (operations: Attempts) =>
  async (input: unknown): Promise<boolean> => {
    const { work, failure } = (input ?? {}) as {
      work?: { partnerId: string; operationId?: string; attempt?: number };
      failure?: unknown;
    };
    if (work?.operationId === undefined) return true;
    const known = await operations.attemptsOf(work.partnerId, work.operationId);
    if (known === undefined) return true;
    const attempt = work.attempt ?? 1;
    if (attempt < known.attempt)
      throw new ControlPlaneError(
        "OperationSuperseded",
        `attempt ${known.attempt} of operation ${work.operationId} has taken over`,
        409,
      );
    // What has succeeded does not fail afterwards: whoever was told so had lost the answer of the last activity.
    if (failure !== undefined) return known.status !== "Succeeded";
    if (known.cancel !== undefined && attempt <= known.cancel.attempt) throw canceled(work.operationId);
    return true;
  };
