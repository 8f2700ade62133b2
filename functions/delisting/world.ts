/** What delisting needs of the world: the API's part, the lists, DNS, and the durations that travel with each case. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Blocklists } from "../../shared/dns/blocklists.ts";
import type { DnsResolver } from "../../shared/dns/resolver.ts";
import type { DelistingPace } from "./orchestrator.ts";

export interface DelistingWorld extends ApiWorld {
  blocklists: Blocklists;
  resolver: DnsResolver;
  delistingPace: DelistingPace;
  reportFailure(activity: string, error: unknown): void;
}
