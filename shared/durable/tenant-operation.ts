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
  if (!(await operations.find(partnerId, operationId))) {
    await refuseWhileAnotherRuns(tenant);
    await wanted.check(tenant);
  }
  const requestHash = createHash("sha256").update(JSON.stringify({ tenantId, body })).digest("hex");
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
    const claimed = await claimTenant(tenants, operation, tenant.operationId, wanted.factsOf);
    await begin(client, wanted, claimed, operation);
  }
  return operation;

  /** One operation at a time changes a tenant. One that was created but never started, because we died in between, is started now. */
  async function refuseWhileAnotherRuns({ operationId: other }: TenantRecord): Promise<void> {
    if (other === undefined || other === operationId) return;
    const running = await operations.find(partnerId, other);
    if (!running || ended(running)) return;
    if (running.status === "NotStarted" && running.kind === wanted.kind) await begin(client, wanted, tenant, running);
    throw operationInProgress(tenantId, running, wanted.kind);
  }
}

type Claimed = Pick<OperationHeader, "partnerId" | "tenantId" | "id" | "kind">;

/** Whoever writes the tenant's row first is the operation that runs. */
export const claimTenant = (
  tenants: Stores["tenants"],
  { partnerId, tenantId, id: operationId, kind }: Claimed,
  seen: string | undefined,
  factsOf: (tenant: TenantRecord) => Record<string, unknown> = () => ({}),
): Promise<TenantRecord> =>
  tenants.change(partnerId, tenantId, (current) => {
    if (current.operationId === operationId) return undefined;
    if (current.operationId !== seen) throw operationInProgress(tenantId, { id: current.operationId ?? "", kind }, kind);
    return { operationId, facts: { ...current.facts, ...factsOf(current) } };
  });

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
  wanted: OperationKind,
): Promise<void> {
  const running = other === undefined ? undefined : await operations.find(partnerId, other);
  if (running && !ended(running)) throw operationInProgress(tenantId, running, wanted);
}

export function operationInProgress(
  tenantId: string,
  { id, kind, status }: { id: string; kind: OperationKind; status?: OperationStatus },
  wanted: OperationKind,
): Error {
  const asked = status === "NotStarted" && kind !== wanted ? `; asked for again with Operation-Id ${id} it begins` : "";
  return refusal("OperationInProgress", `operation ${id} (${kind}) is under way on tenant ${tenantId}${asked}`, { target: id });
}

/** Partner and operation ids have no underscore, so two partners can't make the same instance id. */
export const instanceOf = (partnerId: string, operationId: string, attempt: number): string =>
  `${partnerId}_${operationId}_${attempt}`;
