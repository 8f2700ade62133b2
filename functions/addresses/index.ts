/** Addresses: another public address for a gateway, with the former one held as the way back. */
import { registerDurableHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { createAddressActivities } from "./activities.ts";
import { startAddressReplacement } from "./http.ts";
import { replaceAddress } from "./orchestrator.ts";
import { planReplacement } from "./plan.ts";
import type { AddressesWorld } from "./world.ts";

export type { AddressesWorld } from "./world.ts";

export function registerAddresses(world: AddressesWorld): void {
  world.plans.register("addressReplacement", (tenant, asked) => planReplacement(world, tenant, asked));
  registerDurableHttp("startAddressReplacement", (client) => startAddressReplacement(world, client));
  registerOrchestrator(replaceAddress);
  registerActivities(createAddressActivities(world), world);
}
