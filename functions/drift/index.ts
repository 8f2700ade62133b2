/** Drift: standing tenants are compared with what is wanted for them, and brought back on request or by policy. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { registerDurableTimer } from "../../shared/triggers.ts";
import { createRepairActivities } from "./activities.ts";
import { getDrift, lookForDriftNow, startRepair } from "./http.ts";
import { repairTenant } from "./orchestrator.ts";
import { planRepair } from "./plan.ts";
import { sweepDrift } from "./timer.ts";
import type { DriftWorld } from "./world.ts";

export function registerDrift(world: DriftWorld): void {
  world.plans.register("repair", (tenant, { steps }) => planRepair(world, tenant, steps));
  registerHttp("getDrift", endpoint("getDrift", world, getDrift(world)));
  registerHttp("lookForDriftNow", endpoint("lookForDriftNow", world, lookForDriftNow(world)));
  registerDurableHttp("startRepair", (client) => startRepair(world, client));
  registerDurableTimer("sweepDrift", "%DRIFT_SCHEDULE%", (client) => sweepDrift(world, client));
  registerOrchestrator(repairTenant);
  registerActivities(createRepairActivities(world), world);
}
