/** Gateways: the fleet is watched, partners see how their gateways are and what happened. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { Fleet } from "../../shared/azure/fleet.ts";
import { registerTimer } from "../../shared/triggers.ts";
import { getGatewayHistory } from "./history.ts";
import { type HeartbeatWorld, postHeartbeat } from "./heartbeat.ts";
import { getGateway, listEvents, listGateways } from "./http.ts";
import { pollFleet, pollGateways } from "./timer.ts";

export interface GatewaysWorld extends HeartbeatWorld {
  fleet: Fleet;
}

export function registerGateways(world: GatewaysWorld): void {
  registerHttp("listGateways", endpoint("listGateways", world, listGateways(world)));
  registerHttp("getGateway", endpoint("getGateway", world, getGateway(world)));
  registerHttp("getGatewayHistory", endpoint("getGatewayHistory", world, getGatewayHistory(world)));
  registerHttp("postHeartbeat", endpoint("postHeartbeat", world, postHeartbeat(world)));
  registerHttp("listEvents", endpoint("listEvents", world, listEvents(world)));

  registerTimer("pollGateways", "%GATEWAYS_SCHEDULE%", pollGateways(world));
  registerTimer("pollFleet", "%FLEET_SCHEDULE%", pollFleet(world));
}
