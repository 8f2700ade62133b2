/** Tenants: partners say what they want for their customers. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { deleteTenant, getTenant, listTenants, putTenant } from "./http.ts";

export function registerTenants(world: ApiWorld): void {
  registerHttp("putTenant", endpoint("putTenant", world, putTenant(world)));
  registerHttp("getTenant", endpoint("getTenant", world, getTenant(world)));
  registerHttp("deleteTenant", endpoint("deleteTenant", world, deleteTenant(world)));
  registerHttp("listTenants", endpoint("listTenants", world, listTenants(world)));
}
