/** Whether an operator has said that a step is not waited for any longer. */
import type { Work } from "../durable/resources.ts";
import type { OperationStore } from "../stores/operations.ts";

export async function skipped(
  operations: Pick<OperationStore, "find">,
  { partnerId, operationId }: Work,
  step: string,
): Promise<boolean> {
  const known = await operations.find(partnerId, operationId);
  return known?.steps.some(({ name, skipped: word }) => name === step && word !== undefined) ?? false;
}
