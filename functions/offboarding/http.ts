/** Offboarding's door: asked for by name, since nothing brings a tenant back. */
import type { DurableClient } from "durable-functions";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import type { OffboardInput } from "../../shared/api/offboarding.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { offboardTenant, type Offboarding } from "./orchestrator.ts";
import { footprintOf } from "./footprint.ts";
import { refuseUnlessBuilt } from "./leaving.ts";
import { offboardingSteps } from "./steps.ts";
import type { OffboardingWorld } from "./world.ts";

/** POST …/offboard: with the same Operation-Id asking twice gives the same operation; after a failure it goes on from what is left. */
export const startOffboarding = (world: ApiWorld & Pick<OffboardingWorld, "offboardingPace" | "plans">, client: DurableClient) =>
  endpoint("startOffboarding", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body };
    const operation = await startOperation(world.stores, client, offboardingOf(world, body), asked);
    return accepted(world, operation);
  });

export const offboardingOf = (
  world: Pick<OffboardingWorld, "offboardingPace" | "plans">,
  { confirm, deleteDatabases = false, abandonQueues = false, export: exported = false, plan }: OffboardInput,
): TenantOperation<Offboarding> => ({
  kind: "offboarding",
  orchestrator: offboardTenant,
  stepsOf: (tenant) => offboardingSteps(targetOf(tenant), footprintOf(tenant), exported),
  inputOf(tenant, operationId) {
    const { work, spec, names } = targetOf(tenant);
    return {
      work: { ...work, operationId },
      spec,
      names,
      abandonQueues,
      ...(exported && { exported }),
      pace: world.offboardingPace,
    };
  },
  async check(tenant) {
    const { id, spec } = tenant;
    if (confirm !== id)
      throw refusal("ConfirmationMissing", `send "confirm": "${id}" to take this tenant away`, { target: "confirm" });
    refuseUnlessBuilt(tenant);
    if (spec.database?.kind === "azureSql" && !deleteDatabases)
      throw refusal(
        "ConfirmationMissing",
        'the databases in Azure SQL go with the resource group: save what is to be kept, then send "deleteDatabases": true',
        { target: "deleteDatabases" },
      );
    await world.plans.insistOn("offboarding", tenant, plan);
  },
  factsOf: (tenant) => ({ names: targetOf(tenant).names }),
});
