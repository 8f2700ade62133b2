/** What replacing an address needs of the world: the API's part, Azure and Exchange Online, the blocklists, and its durations. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Blocklists } from "../../shared/dns/blocklists.ts";
import type { Plans } from "../../shared/plans/plans.ts";
import type { ValidateConnector } from "../../shared/proof/gateways.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { RunbookWorld } from "../../shared/runbook/world.ts";
import type { AddressPace } from "./orchestrator.ts";

export interface AddressDoors extends ApiWorld {
  addressPace: AddressPace;
  plans: Plans;
}

export interface AddressesWorld extends AddressDoors, RunbookWorld {
  resources: Resources;
  blocklists: Blocklists;
  validateOutboundConnector: ValidateConnector;
  reportFailure(activity: string, error: unknown): void;
}
