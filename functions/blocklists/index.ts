/** Blocklists: a timer that asks them about every gateway's address, and doors that say what they have. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import { registerTimer } from "../../shared/triggers.ts";
import { listBlocklists, listListings } from "./http.ts";
import { pollBlocklists } from "./poll.ts";
import type { BlocklistsWorld } from "./world.ts";

export type { BlocklistsWorld } from "./world.ts";

export function registerBlocklists(world: BlocklistsWorld): void {
  registerHttp("listListings", endpoint("listListings", world, listListings(world)));
  registerHttp("listBlocklists", endpoint("listBlocklists", world, listBlocklists(world)));
  registerTimer("pollBlocklists", "%BLOCKLISTS_SCHEDULE%", () => pollBlocklists(world));
}
