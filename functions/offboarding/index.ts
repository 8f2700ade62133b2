/** Offboarding: one door, an orchestrator with its two waits, and what they do beside taking resources away. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { createQueueActivities } from "../../shared/proof/queue-activities.ts";
import { waitForEmptyQueues } from "../../shared/proof/queues.ts";
import { createOffboardingActivities } from "./activities.ts";
import { getExport } from "./export.ts";
import { startOffboarding } from "./http.ts";
import { offboardTenant } from "./orchestrator.ts";
import { planOffboarding } from "./plan.ts";
import type { OffboardingWorld } from "./world.ts";

export type { OffboardingWorld } from "./world.ts";

export function registerOffboarding(world: OffboardingWorld): void {
  world.plans.register("offboarding", (tenant) => planOffboarding(world, tenant));
  registerDurableHttp("startOffboarding", (client) => startOffboarding(world, client));
  registerHttp("getExport", endpoint("getExport", world, getExport(world)));
  registerOrchestrator(offboardTenant);
  registerOrchestrator(waitForEmptyQueues);
  registerActivities(createQueueActivities(world), world);
  registerActivities(createOffboardingActivities(world), world);
}
