/** A step in the audit log: what it writes is there before it is sent, and what came of it afterwards, however often the step is tried. */
import type { Work } from "../durable/resources.ts";
import { collectingRequests } from "../cloud-requests.ts";
import { type Failure, failureFrom } from "../durable/steps.ts";
import type { AuditChange, AuditEnd, AuditStore } from "../stores/audit.ts";
import type { OperationRecord } from "../stores/operations.ts";
import type { Change } from "./ensure.ts";

/** Says what is about to be written; to be called before the write, by whatever writes. */
export type BeginChange = (change: Pick<AuditChange, "action" | "target" | "before" | "changes">) => Promise<void>;

export function auditedStep(audit: AuditStore, { partnerId, tenantId, operationId }: Work, step: string) {
  const owner = { partnerId, tenantId };
  const key = `${operationId}/${step}`;
  let begun = false;
  const begin: BeginChange = async (change) => {
    begun = true;
    await audit.begin(owner, { ...change, key, actor: { kind: "orchestration" }, operationId, step });
  };
  /** What an earlier try has begun is ended by this one. */
  const begunBefore = ({ steps }: Pick<OperationRecord, "steps">): boolean => {
    const known = steps.find(({ name }) => name === step);
    return known !== undefined && (known.tries > 1 || made(known.change));
  };

  return {
    begin,
    succeeded: async (operation: OperationRecord, change: Change | undefined, requestIds: readonly string[]): Promise<void> => {
      if (!begun && made(change)) await begin({ action: actionOf[change], target: { kind: step } });
      if (begun || begunBefore(operation)) await audit.end(owner, key, { outcome: "Succeeded", requestIds });
    },
    /** The cloud goes on working, or does not show yet what was written. */
    pending: async (requestIds: readonly string[], error?: Failure): Promise<void> => {
      if (begun) await audit.end(owner, key, { outcome: "Pending", requestIds, ...(error && errorOf(error)) });
    },
    failed: async (operation: OperationRecord, error: Failure, requestIds: readonly string[] = []): Promise<void> => {
      if (begun || begunBefore(operation)) await audit.end(owner, key, { outcome: "Failed", requestIds, ...errorOf(error) });
    },
  };
}

const actionOf = { created: "create", updated: "update", removed: "remove" } as const;

const made = (change: Change | undefined): change is keyof typeof actionOf => change !== undefined && change !== "unchanged";

const errorOf = ({ code, message }: Failure): Pick<AuditEnd, "error"> => ({ error: { code, message } });

/** A write that is no step of its own; without an operation it is a timer's. */
export function audited<Written>(
  audit: AuditStore,
  { partnerId, tenantId, operationId }: Pick<Work, "partnerId" | "tenantId"> & Partial<Work>,
  change: Pick<AuditChange, "action" | "target">,
  write: () => Promise<Written>,
  goesOn: (written: Written) => boolean = () => false,
): Promise<Written> {
  const owner = { partnerId, tenantId };
  const key = `${operationId ?? "timer"}/${change.action} ${JSON.stringify(change.target)}`;
  const by =
    operationId === undefined
      ? { actor: { kind: "timer" as const } }
      : { actor: { kind: "orchestration" as const }, operationId };
  return collectingRequests(async (requestIds) => {
    await audit.begin(owner, { ...change, key, ...by });
    try {
      const written = await write();
      await audit.end(owner, key, { outcome: goesOn(written) ? "Pending" : "Succeeded", requestIds });
      return written;
    } catch (error) {
      const failure = failureFrom(error);
      await audit.end(owner, key, { outcome: failure.transient ? "Pending" : "Failed", requestIds, ...errorOf(failure) });
      throw error;
    }
  });
}

/** What a resource is called in its cloud, where its desired state says it. */
export const targetOf = (kind: string, desired: unknown): AuditChange["target"] => {
  const { name } = (desired ?? {}) as { name?: unknown };
  return { kind, ...(typeof name === "string" ? { name } : {}) };
};
