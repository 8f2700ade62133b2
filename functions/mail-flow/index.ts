/** Mail flow: round the gateway and back, of one tenant or of many. */
import { registerDurableHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { registerDurableTimer } from "../../shared/triggers.ts";
import { proveBypass } from "../../shared/proof/around.ts";
import { createAroundActivities } from "../../shared/proof/around-activities.ts";
import { createMailFlowActivities } from "./activities.ts";
import { startBypass, startRestore } from "./http.ts";
import { watchOutages } from "./outages.ts";
import { startGatewayBypass, startGatewayRestore, startPartnerBypass, startPartnerRestore } from "./several.ts";
import { bypassTenant, restoreTenant } from "./orchestrator.ts";
import { planBypass, planRestore } from "./plan.ts";
import type { MailFlowWorld } from "./world.ts";

export type { MailFlowWorld } from "./world.ts";

export function registerMailFlow(world: MailFlowWorld): void {
  world.plans.register("bypass", (tenant) => planBypass(world, tenant));
  world.plans.register("restore", (tenant) => planRestore(world, tenant));
  registerDurableHttp("startBypass", (client) => startBypass(world, client));
  registerDurableHttp("startRestore", (client) => startRestore(world, client));
  registerDurableHttp("startGatewayBypass", (client) => startGatewayBypass(world, client));
  registerDurableHttp("startGatewayRestore", (client) => startGatewayRestore(world, client));
  registerDurableHttp("startPartnerBypass", (client) => startPartnerBypass(world, client));
  registerDurableHttp("startPartnerRestore", (client) => startPartnerRestore(world, client));
  registerDurableTimer("watchOutages", "%OUTAGES_SCHEDULE%", (client) => watchOutages(world, client));
  registerOrchestrator(bypassTenant);
  registerOrchestrator(restoreTenant);
  registerOrchestrator(proveBypass);
  registerActivities(createMailFlowActivities(world), world);
  registerActivities(createAroundActivities(world), world);
}
