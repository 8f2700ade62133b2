/** Gateways: the fleet is watched, partners see how their gateways are and what happened. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Fleet } from "../../shared/azure/fleet.ts";
import { registerTimer } from "../../shared/triggers.ts";
import { postHeartbeat } from "./heartbeat.ts";
import { getGateway, listEvents, listGateways } from "./http.ts";
import { pollGateways } from "./timer.ts";

export interface GatewaysWorld extends ApiWorld {
  fleet: Fleet;
}

export function registerGateways(world: GatewaysWorld): void {
  registerHttp("listGateways", endpoint("listGateways", world, listGateways(world)));
  registerHttp("getGateway", endpoint("getGateway", world, getGateway(world)));
  registerHttp("postHeartbeat", endpoint("postHeartbeat", world, postHeartbeat(world)));
  registerHttp("listEvents", endpoint("listEvents", world, listEvents(world)));

  registerTimer("pollGateways", "%GATEWAYS_SCHEDULE%", pollGateways(world));
}
