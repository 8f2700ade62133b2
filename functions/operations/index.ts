/** Operations: partners watch work that takes its time. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { getOperation, listOperations } from "./http.ts";

export function registerOperations(world: ApiWorld): void {
  registerHttp("getOperation", endpoint("getOperation", world, getOperation(world)));
  registerHttp("listOperations", endpoint("listOperations", world, listOperations(world)));
}
