/** An operation that nobody asked for in a call of the API: the audit log says, before it is there, which timer or message began it. */
import type { Stores } from "../stores/stores.ts";
import type { Work } from "./resources.ts";
import { failureFrom } from "./steps.ts";

/** `start` creates and starts the operation; a repeated message that finds it there says nothing more. */
export async function auditedStart(
  { operations, audit }: Pick<Stores, "operations" | "audit">,
  { partnerId, tenantId, operationId }: Work,
  kind: string,
  start: () => Promise<void>,
): Promise<void> {
  const owner = { partnerId, tenantId };
  const key = `${operationId}/start`;
  if (!(await operations.find(partnerId, operationId)))
    await audit.begin(owner, {
      key,
      actor: { kind: "timer" },
      operationId,
      action: "start",
      target: { kind, name: operationId },
    });
  try {
    await start();
  } catch (error) {
    const { transient, code, message } = failureFrom(error);
    if (!transient) await audit.end(owner, key, { outcome: "Failed", error: { code, message } });
    throw error;
  }
  await audit.end(owner, key, { outcome: "Succeeded" });
}
