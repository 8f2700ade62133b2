/** Delisting: a queue that opens cases, the orchestration that follows each one up, and the doors to them. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerDurableHttp, registerHttp } from "../../shared/api/register.ts";
import { registerActivities, registerOrchestrator } from "../../shared/durable/register.ts";
import { registerQueue, type QueueWorld } from "../../shared/triggers.ts";
import { createDelistingActivities } from "./activities.ts";
import { acknowledgeDelisting, getDelisting, listDelistings } from "./http.ts";
import { delistAddress } from "./orchestrator.ts";
import { acceptListing } from "./queue.ts";
import type { DelistingWorld } from "./world.ts";

export type { DelistingWorld } from "./world.ts";

export function registerDelisting(world: DelistingWorld & QueueWorld): void {
  registerHttp("listDelistings", endpoint("listDelistings", world, listDelistings(world)));
  registerHttp("getDelisting", endpoint("getDelisting", world, getDelisting(world)));
  registerDurableHttp("acknowledgeDelisting", (client) => acknowledgeDelisting(world, client));

  registerQueue("acceptListing", "delisting", (client) => acceptListing(world, client), world);
  registerOrchestrator(delistAddress);
  registerActivities(createDelistingActivities(world), world);
}
