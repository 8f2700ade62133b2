/** Adoption: what a person made by the manual is found, shown, and taken over as it is. */
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { createAdoptionActivities } from "./activities.ts";
import { getAdoption, startAdoption } from "./http.ts";
import { adoptTenant } from "./orchestrator.ts";
import type { AdoptionWorld } from "./world.ts";

export function registerAdoption(world: AdoptionWorld): void {
  registerHttp("getAdoption", getAdoption(world));
  registerDurableHttp("startAdoption", (client) => startAdoption(world, client));
  registerOrchestrator(adoptTenant);
  registerActivities(createAdoptionActivities(world), world);
}
