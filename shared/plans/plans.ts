/**
 * Plans of all operations: each capability says how its own are made, and whoever starts one may insist on a plan that was shown. A plan is
 * made by reading only; it is kept, so that it can be told later what has changed since.
 */
import { createHash } from "node:crypto";
import { refusal } from "../api/error-codes.ts";
import type { Plan, PlannedOperation } from "../api/plan.ts";
import type { Names } from "../azure/names.ts";
import type { ErrorDetail } from "../errors.ts";
import type { PlanStore } from "../stores/plans.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import { differenceOf } from "./difference.ts";
import { isoDuration } from "./durations.ts";

/** What a planner finds by looking. */
export interface Planned extends Pick<Plan, "resources" | "checks" | "findings" | "tasks"> {
  names: Names;
  /** On the critical path, without what people take. */
  estimatedSeconds: number;
}

/** What is asked of an operation, besides which tenant it is for. */
export interface Asked {
  /** Of a repair: which differences, without it all. */
  steps?: string[] | undefined;
  /** Of a replaced address: whose, and whether it is the way back. */
  gateway?: string | undefined;
  back?: boolean | undefined;
  /** Of a certificate's name: the next one. */
  certificateName?: string | undefined;
}

/** Throws what keeps the operation from being started at all. */
export type Planner = (tenant: TenantRecord, asked: Asked) => Promise<Planned>;

export interface Plans {
  /** Called by each capability for its own operations. */
  register(operation: PlannedOperation, planner: Planner): void;
  make(operation: PlannedOperation, tenant: TenantRecord, asked?: Asked): Promise<Plan>;
  /** Where the caller insists on a plan: throws PlanOutdated with what has changed since, PlanBlocked where it can't be carried out. */
  insistOn(operation: PlannedOperation, tenant: TenantRecord, hash: string | undefined, asked?: Asked): Promise<void>;
}

export function createPlans(store: PlanStore): Plans {
  const planners = new Map<PlannedOperation, Planner>();

  async function made(operation: PlannedOperation, tenant: TenantRecord, asked: Asked): Promise<Plan> {
    const planner = planners.get(operation);
    if (planner === undefined) throw new TypeError(`nobody plans operations of the kind ${operation}`);
    const { names, estimatedSeconds, resources, checks, findings, tasks } = await planner(tenant, asked);
    const { id: tenantId, spec } = tenant;
    const hash = createHash("sha256")
      .update(JSON.stringify({ operation, spec, names, resources, checks, findings }))
      .digest("hex");
    const estimatedDuration = isoDuration(estimatedSeconds);
    return { tenantId, operation, hash, estimatedDuration, resources, checks, findings, tasks };
  }

  return {
    register: (operation, planner) => void planners.set(operation, planner),
    make: async (operation, tenant, asked = {}) => {
      const plan = await made(operation, tenant, asked);
      await store.keep(tenant.partnerId, { plan, spec: tenant.spec });
      return plan;
    },
    insistOn: async (operation, tenant, hash, asked = {}) => {
      if (hash === undefined) return;
      const now = await made(operation, tenant, asked);
      if (now.hash === hash) return refuseBlocked(now);
      const { partnerId, id, spec } = tenant;
      const earlier = await store.find(partnerId, id, hash);
      if (earlier === undefined)
        throw refusal("PlanOutdated", "no plan with this hash is kept, or the world has changed since; make a new one", {
          target: "plan",
        });
      throw outdated(differenceOf(earlier, { plan: now, spec }), earlier.plan.operation, operation);
    },
  };
}

function refuseBlocked({ resources }: Plan): void {
  const blocked = resources.filter(({ action }) => action === "blocked");
  if (blocked.length === 0) return;
  throw refusal("PlanBlocked", `the operation could not get by ${blocked.map(({ name }) => name).join(", ")}`, {
    target: "plan",
    details: blocked.map(({ name, reason = "" }) => ({ code: "ResourceBlocked", target: name, message: reason })),
  });
}

function outdated(details: ErrorDetail[], of: PlannedOperation, operation: PlannedOperation): Error {
  if (of !== operation)
    return refusal("PlanOutdated", `this is the plan of another operation (${of}), not of this one (${operation})`, {
      target: "plan",
    });
  const what = details.map(({ target }) => target).join(", ");
  return refusal("PlanOutdated", `something has changed since that plan: ${what || "names of what is to be made"}`, {
    target: "plan",
    details,
  });
}
