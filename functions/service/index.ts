/** Service: whether it lives, whether it can work, and what it offers. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { getHealth, getOpenapi, getReadiness } from "./http.ts";

export function registerService(world: ApiWorld): void {
  registerHttp("getHealth", endpoint("getHealth", world, getHealth));
  registerHttp("getReadiness", endpoint("getReadiness", world, getReadiness(world)));
  registerHttp("getOpenapi", endpoint("getOpenapi", world, getOpenapi(world)));
}
