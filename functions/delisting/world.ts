/** What delisting needs of the world: the API's part, the lists, DNS, a mailbox to ask from, and the durations that travel with each case. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Blocklists } from "../../shared/dns/blocklists.ts";
import type { DnsResolver } from "../../shared/dns/resolver.ts";
import type { ProbeMails } from "../../shared/graph/mail.ts";
import type { DelistingPace } from "./orchestrator.ts";

export interface DelistingWorld extends ApiWorld {
  blocklists: Blocklists;
  resolver: DnsResolver;
  delistingPace: DelistingPace;
  /** Lists that nobody asks at present, by their ids. */
  pausedLists: readonly string[];
  probes: Pick<ProbeMails, "sendOnce">;
  /** The platform's own mailbox, whose mail doesn't run through a gateway that is blocked. */
  canaryMailbox: { organization: string; address: string } | undefined;
  reportFailure(activity: string, error: unknown): void;
}
