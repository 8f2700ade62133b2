/** Adoption's doors: what was found and what taking it over would do, and the taking over itself. */
import type { DurableClient } from "durable-functions";
import type { AdoptionChoices, AdoptionInput } from "../../shared/api/adoption.ts";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { takenOver } from "../../shared/desired/adopted.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { claimCustomer, refuseOthersCustomer } from "../../shared/stores/customer-claims.ts";
import { refuseImpossible } from "./judge.ts";
import { lookForAdoption } from "./look.ts";
import { adoptTenant, type AdoptionWork } from "./orchestrator.ts";
import { adoptionSteps } from "./steps.ts";
import type { AdoptionWorld } from "./world.ts";

/** GET …/adopt: reads only. */
export const getAdoption = (world: AdoptionWorld) =>
  endpoint("getAdoption", world, async ({ caller: { partnerId }, params: { tenantId }, query }) => {
    const tenant = await world.stores.tenants.get(partnerId, tenantId);
    refuseUnlessAdoptable(tenant);
    await refuseOthersCustomer(world.stores, tenant);
    return { body: (await lookForAdoption(world, tenant, given(query))).shown };
  });

/** POST …/adopt: with the same Operation-Id asking twice gives the same operation; adopting again writes nothing. */
export const startAdoption = (world: AdoptionWorld, client: DurableClient) =>
  endpoint("startAdoption", world, async ({ caller: { partnerId }, params: { tenantId }, headers, body }) => {
    const asked = { partnerId, tenantId, operationId: headers["operation-id"], body };
    return accepted(world, await startOperation(world.stores, client, adoptionOf(world, { ...body }), asked));
  });

export const adoptionOf = (world: AdoptionWorld, { plan, ...body }: AdoptionInput): TenantOperation<AdoptionWork> => {
  const choices = given(body);
  return {
    kind: "adoption",
    orchestrator: adoptTenant,
    stepsOf: ({ spec }) => adoptionSteps(spec),
    inputOf: (tenant, operationId) => ({
      work: { ...targetOf(tenant).work, operationId },
      choices,
      plan,
      pace: { patience: world.pace.patience, operationDeadlineInSeconds: world.pace.operationDeadlineInSeconds },
    }),
    async check(tenant) {
      refuseUnlessAdoptable(tenant);
      await claimCustomer(world.stores, tenant);
      refuseImpossible((await lookForAdoption(world, tenant, choices)).shown, plan);
    },
  };
};

/** One that we built is ours already; one that was taken over may be taken over as it is by now. */
function refuseUnlessAdoptable(tenant: TenantRecord): void {
  const { id, stage } = tenant;
  if (stage === "registered" || takenOver(tenant)) return;
  throw refusal("NothingToAdopt", `tenant ${id} is in stage ${stage}: what stands of it is ours already`);
}

const given = (choices: AdoptionChoices): AdoptionChoices =>
  Object.fromEntries(Object.entries(choices).filter(([, choice]) => choice !== undefined));
