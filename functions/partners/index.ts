/** Partners: operators register who may call the API. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { getMe, getPartner, listPartners, putPartner } from "./http.ts";

export function registerPartners(world: ApiWorld): void {
  registerHttp("putPartner", endpoint("putPartner", world, putPartner(world)));
  registerHttp("getPartner", endpoint("getPartner", world, getPartner(world)));
  registerHttp("listPartners", endpoint("listPartners", world, listPartners(world)));
  registerHttp("getMe", endpoint("getMe", world, getMe));
}
