/** Starts repairs: for whoever asks, and by policy, a few times a day for each property. */
import { createHash } from "node:crypto";
import type { DurableClient } from "durable-functions";
import * as z from "zod";
import type { Difference } from "../../shared/api/drift.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { isStanding, targetOf } from "../../shared/desired/target.ts";
import { auditedStart } from "../../shared/durable/audited-start.ts";
import { kindOf, type KindOfOperation } from "../../shared/durable/operation-kinds.ts";
import { startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { noWayBack } from "../../shared/resources/irreversible.ts";
import type { DriftRecord } from "../../shared/stores/drift.ts";
import type { OperationRecord } from "../../shared/stores/operations.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { propertiesOf, sendsMail } from "./compare.ts";
import { type Repair, repairTenant } from "./orchestrator.ts";
import { repairSteps } from "./steps.ts";
import { refuseUnlessWayIsWhole } from "./whole-way.ts";
import type { DriftWorld } from "./world.ts";

interface Wanted {
  partnerId: string;
  tenantId: string;
  operationId: string | undefined;
  /** All that can be repaired, without it. */
  steps: string[] | undefined;
  /** Hash of the plan that is insisted on. */
  plan?: string | undefined;
}

/** As the operation keeps it: what was asked for, and which steps that was at the time. */
const requestSchema = z.object({ asked: z.union([z.array(z.string()), z.literal("all")]), steps: z.array(z.string()) });
type Request = z.output<typeof requestSchema>;

type World = Pick<DriftWorld, "stores" | "pace" | "plans">;

/** From the last comparison; the repair looks once more before it writes. */
export async function startRepairOf(
  world: World,
  client: DurableClient,
  { partnerId, tenantId, operationId, steps, plan }: Wanted,
): Promise<OperationRecord> {
  const { stores } = world;
  const asked = steps ?? "all";
  const known = operationId === undefined ? undefined : await stores.operations.find(partnerId, operationId);
  const request: Request =
    known?.kind === "repair"
      ? { asked, steps: requestSchema.parse(known.request).steps }
      : { asked, steps: await differing(stores, await stores.tenants.get(partnerId, tenantId), steps) };
  return startOperation(stores, client, repairOf(world, request, plan), { partnerId, tenantId, operationId, body: request });
}

const repairOf = (
  { pace, plans }: Pick<World, "pace" | "plans">,
  { asked, steps }: Request,
  plan?: string,
): TenantOperation<Repair> => ({
  kind: "repair",
  orchestrator: repairTenant,
  stepsOf: (tenant) => repairSteps(tenant, steps),
  inputOf: (tenant, operationId) => ({ work: { ...targetOf(tenant).work, operationId }, steps, pace }),
  async check(tenant) {
    refuseUnlessStanding(tenant);
    await plans.insistOn("repair", tenant, plan, asked === "all" ? {} : { steps: asked });
  },
});

/** What was begun with is tried again; what is right by then is left alone. */
export const repairKinds = (world: Pick<World, "pace" | "plans">) =>
  ({
    repair: kindOf((request) => repairOf(world, requestSchema.parse(request)), {
      waits: [],
      rollBackRefused: () => noWayBack.repair,
    }),
  }) satisfies Record<string, KindOfOperation>;

/** Which steps it is about, in the manual's order. Refuses what a repair can't bring back. */
export async function differing(
  { drift }: World["stores"],
  tenant: TenantRecord,
  steps: string[] | undefined,
): Promise<string[]> {
  refuseUnlessStanding(tenant);
  const record = await drift.find(tenant.partnerId, tenant.id);
  if (!record) throw refusal("NothingToRepair", `nobody has looked at tenant ${tenant.id} yet: POST …/drift looks now`);
  refuseOthersWork(record, steps);
  const found = repairable(record, steps);
  if (found.length === 0)
    throw refusal("NothingToRepair", "nothing that a repair could bring back differed when it was last looked at");
  return found.map(({ step }) => step);
}

export function refuseUnlessStanding(tenant: TenantRecord): void {
  if (isStanding(tenant)) return;
  throw refusal("NothingStands", `tenant ${tenant.id} is in stage ${tenant.stage}: nothing stands that could have drifted`);
}

const repairable = ({ differences }: DriftRecord, steps: string[] | undefined): Difference[] =>
  differences.filter(({ step, repair }) => (steps ? steps.includes(step) : repair === "repair"));

function refuseOthersWork({ differences }: DriftRecord, steps: string[] = []): void {
  for (const [index, step] of steps.entries()) {
    const target = `steps[${index}]`;
    const difference = differences.find((one) => one.step === step);
    if (!difference)
      throw refusal("NothingToRepair", `${step} did not differ when it was last looked at: GET …/drift says what does`, {
        target,
      });
    const { title, repair, action, reason = "" } = difference;
    if (repair === "onboard")
      throw refusal("RepairImpossible", `"${title}" would be made anew: onboard the tenant again`, { target });
    if (repair === "person") {
      const why = action === "blocked" ? "somebody else's object has our name; rename or remove it" : reason;
      throw refusal("RepairImpossible", `"${title}": ${why}`, { target });
    }
  }
}

/** By policy, after a look: what differs and was not brought back too often already. True when a repair was begun. */
export async function repairByPolicy(
  world: World & Pick<DriftWorld, "log">,
  client: DurableClient,
  { partnerId, tenantId, differences, unread, lookedAt }: DriftRecord,
): Promise<boolean> {
  const wanted = differences.filter(({ repair, contested }) => repair === "repair" && contested !== true);
  const chosen = await withoutRefused(world, { partnerId, tenantId, differences, unread }, wanted);
  if (chosen.length === 0) return false;
  // Counted before it begins: who dies in between has done one less, never one more.
  await world.stores.drift.change(partnerId, tenantId, (known) => {
    if (!known) return undefined;
    const repairs = { ...known.repairs };
    for (const name of chosen.flatMap(propertiesOf)) repairs[name] = [...new Set([...(repairs[name] ?? []), lookedAt])];
    return { ...known, repairs };
  });
  const about = createHash("sha256").update(`${partnerId}/${tenantId}`).digest("hex").slice(0, 16);
  const operationId = `repair-${Date.parse(lookedAt)}-${about}`;
  try {
    const steps = chosen.map(({ step }) => step);
    await auditedStart(world.stores, { partnerId, tenantId, operationId }, "repair", async () => {
      await startRepairOf(world, client, { partnerId, tenantId, operationId, steps });
    });
    return true;
  } catch (error) {
    // Something else began meanwhile: the next look decides anew.
    if (!(error instanceof ControlPlaneError) || error.transient) throw error;
    world.log.information("a repair by policy did not begin", { partnerId, tenantId, code: error.code });
    return false;
  }
}

/** What forwards mail waits until its way can be whole: a repair of it would end there, having written nothing of the rest either. */
async function withoutRefused(
  { stores }: Pick<World, "stores">,
  record: Pick<DriftRecord, "partnerId" | "tenantId" | "differences" | "unread">,
  wanted: Difference[],
): Promise<Difference[]> {
  const others = wanted.filter(({ kind }) => !sendsMail.has(kind));
  if (others.length === wanted.length) return wanted;
  try {
    await refuseUnlessWayIsWhole(
      stores,
      record,
      wanted.map(({ step }) => step),
      record,
    );
    return wanted;
  } catch (error) {
    if (error instanceof ControlPlaneError) return others;
    throw error;
  }
}
