/** Starts an operation on a tenant: one at a time, once for each Operation-Id, and begun by whoever asks next if we die in between. */
import { createHash, randomUUID } from "node:crypto";
import type { DurableClient } from "durable-functions";
import { refusal } from "../api/error-codes.ts";
import type { OperationKind, OperationStatus } from "../api/operation.ts";
import { ended, type NewOperation, type OperationHeader, type OperationRecord } from "../stores/operations.ts";
import type { Stores } from "../stores/stores.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { Work } from "./resources.ts";
import type { Orchestrator } from "./routine.ts";
import { startOnce } from "./start-once.ts";

export interface TenantOperation<Input extends { work: Work }> {
  kind: OperationKind;
  orchestrator: Orchestrator<Input, unknown>;
  stepsOf(tenant: TenantRecord): NewOperation["steps"];
  /** What the orchestration is started with; nothing of it changes while it runs. */
  inputOf(tenant: TenantRecord, operationId: string): Input;
  /** Refuses what must not begin; not asked again for an operation that is there already. */
  check(tenant: TenantRecord): Promise<void>;
  /** Facts that the tenant has from now on. */
  factsOf?(tenant: TenantRecord): Record<string, unknown>;
}

interface Asked {
  partnerId: string;
  tenantId: string;
  /** The caller's own, if it named one. */
  operationId: string | undefined;
  /** With another one the same id is refused. */
  body: unknown;
}

/** Throws TenantNotFound, OperationInProgress, OperationIdReused, and what `check` throws. */
export async function startOperation<Input extends { work: Work }>(
  { tenants, operations }: Pick<Stores, "tenants" | "operations">,
  client: DurableClient,
  wanted: TenantOperation<Input>,
  { partnerId, tenantId, operationId = randomUUID(), body }: Asked,
): Promise<OperationRecord> {
  const tenant = await tenants.get(partnerId, tenantId);
  const requestHash = createHash("sha256").update(JSON.stringify({ tenantId, body })).digest("hex");
  const known = await operations.find(partnerId, operationId);
  // One whose row is there may have been refused all the same, or never have come to its turn.
  if (!known || (known.status === "NotStarted" && !holds(tenant, known))) {
    await refuseWhileAnotherRuns(tenant);
    await wanted.check(tenant);
  }
  const steps = wanted.stepsOf(tenant);
  const asked = {
    partnerId,
    tenantId,
    id: operationId,
    kind: wanted.kind,
    requestHash,
    request: body,
    stageBefore: tenant.stage,
  };
  const { operation } = await operations.create({ ...asked, steps });
  if (operation.status === "NotStarted") {
    const claimed = await claimTenant(tenants, operation, tenant, wanted.factsOf);
    await begin(client, wanted, claimed, operation);
    return operations.show(partnerId, operationId);
  }
  return operation;

  /** One operation at a time changes a tenant. One that was created but never started, because we died in between, is started now. */
  async function refuseWhileAnotherRuns({ operationId: other }: TenantRecord): Promise<void> {
    if (other === undefined || other === operationId) return;
    const running = await operations.find(partnerId, other);
    if (!running || ended(running)) return;
    // Of the same kind and asked for differently it would begin with what it wasn't asked for.
    const begins = running.status === "NotStarted" && running.kind === wanted.kind && running.requestHash === requestHash;
    if (begins) {
      await begin(client, wanted, tenant, running);
      await operations.show(partnerId, other);
    }
    throw operationInProgress(tenantId, begins ? { ...running, status: "Running" } : running);
  }
}

type Claimed = Pick<OperationHeader, "partnerId" | "tenantId" | "id" | "kind" | "attempt">;
type Claim = Pick<TenantRecord, "operationId" | "operationAttempt">;

/** Whoever writes the tenant's row first is the operation that runs. `seen`: the tenant as it was when it was free. */
export const claimTenant = (
  tenants: Stores["tenants"],
  operation: Claimed,
  seen: Claim,
  factsOf: (tenant: TenantRecord) => Record<string, unknown> = () => ({}),
): Promise<TenantRecord> => {
  const { partnerId, tenantId, id: operationId, attempt: operationAttempt, kind } = operation;
  return tenants.change(partnerId, tenantId, (current) => {
    if (holds(current, operation)) return undefined;
    // An operation that was there and is tried again is another claim: who saw it ended has seen too little.
    if (current.operationId !== seen.operationId || attemptOf(current) !== attemptOf(seen))
      throw operationInProgress(tenantId, { id: current.operationId ?? "", kind });
    return { operationId, operationAttempt, facts: { ...current.facts, ...factsOf(current) } };
  });
};

/** The tenant is this operation's, for this attempt. */
export const holds = (tenant: Claim, { id, attempt }: Pick<Claimed, "id" | "attempt">): boolean =>
  tenant.operationId === id && attemptOf(tenant) >= attempt;

const attemptOf = ({ operationAttempt = 1 }: Claim): number => operationAttempt;

/** Starts the orchestration of the operation's present attempt, once however often it is asked for. */
export function begin<Input extends { work: Work }>(
  client: DurableClient,
  { orchestrator, inputOf }: Pick<TenantOperation<Input>, "orchestrator" | "inputOf">,
  tenant: TenantRecord,
  { partnerId, id, attempt }: Pick<OperationHeader, "partnerId" | "id" | "attempt">,
): Promise<void> {
  const input = inputOf(tenant, id);
  const work = { ...input.work, ...(attempt > 1 && { attempt }) };
  return startOnce(client, orchestrator, instanceOf(partnerId, id, attempt), { ...input, work });
}

/** For whoever makes an operation now that is begun later: one at a time changes a tenant. */
export async function refuseWhileUnderWay(
  { operations }: Pick<Stores, "operations">,
  { partnerId, id: tenantId, operationId: other }: TenantRecord,
): Promise<void> {
  const running = other === undefined ? undefined : await operations.find(partnerId, other);
  if (running && !ended(running)) throw operationInProgress(tenantId, running);
}

export function operationInProgress(
  tenantId: string,
  { id, kind, status }: { id: string; kind: OperationKind; status?: OperationStatus },
): Error {
  const asked = status === "NotStarted" ? "; it has not begun: POST …/retry begins it, POST …/cancel gives it up" : "";
  return refusal("OperationInProgress", `operation ${id} (${kind}) is under way on tenant ${tenantId}${asked}`, { target: id });
}

/** Partner and operation ids have no underscore, so two partners can't make the same instance id. */
export const instanceOf = (partnerId: string, operationId: string, attempt: number): string =>
  `${partnerId}_${operationId}_${attempt}`;
