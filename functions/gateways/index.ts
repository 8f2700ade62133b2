/** Gateways: the fleet is watched, partners see how their gateways are and what happened. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import type { Fleet } from "../../shared/azure/fleet.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { registerTimer } from "../../shared/triggers.ts";
import { createSmtpRestartActivities } from "./activities.ts";
import { getGatewayHistory } from "./history.ts";
import { type HeartbeatWorld, postHeartbeat } from "./heartbeat.ts";
import { getGateway, listEvents, listGateways } from "./http.ts";
import { restartSmtpService } from "./orchestrator.ts";
import { startSmtpRestart, type SmtpRestartWorld } from "./smtp-restart.ts";
import { pollFleet, pollGateways } from "./timer.ts";

export interface GatewaysWorld extends HeartbeatWorld, SmtpRestartWorld {
  fleet: Fleet;
  resources: Resources;
  reportFailure(activity: string, error: unknown): void;
}

export function registerGateways(world: GatewaysWorld): void {
  registerHttp("listGateways", endpoint("listGateways", world, listGateways(world)));
  registerHttp("getGateway", endpoint("getGateway", world, getGateway(world)));
  registerHttp("getGatewayHistory", endpoint("getGatewayHistory", world, getGatewayHistory(world)));
  registerHttp("postHeartbeat", endpoint("postHeartbeat", world, postHeartbeat(world)));
  registerHttp("listEvents", endpoint("listEvents", world, listEvents(world)));

  registerDurableHttp("startSmtpRestart", (client) => startSmtpRestart(world, client));
  registerOrchestrator(restartSmtpService);
  registerActivities(createSmtpRestartActivities(world), world);

  registerTimer("pollGateways", "%GATEWAYS_SCHEDULE%", pollGateways(world));
  registerTimer("pollFleet", "%FLEET_SCHEDULE%", pollFleet(world));
}
