/** What a walk through the runbook reads from: clouds, stores, and where our own API is. */
import type { ApiWorld } from "../api/world.ts";
import type { AzureAccess } from "../azure/access.ts";
import type { Azure } from "../azure/client.ts";
import type { Subscription } from "../azure/place.ts";
import type { DnsResolver } from "../dns/resolver.ts";
import type { CloudEnvironment } from "../environment.ts";
import type { Exchange } from "../exchange/client.ts";
import type { ConsentQuestion, ConsentState } from "../graph/consent.ts";
import type { Organizations } from "../graph/organization.ts";
import type { Resources } from "../resources/index.ts";
import type { Vaults } from "../vault/client.ts";

export interface RunbookWorld extends Pick<ApiWorld, "clock" | "settings" | "stores"> {
  environment: CloudEnvironment;
  azure: Azure;
  exchange: Exchange;
  vaults: Vaults;
  organizations: Organizations;
  resolver: DnsResolver;
  resources: Resources;
  /** The same over another client of Exchange Online. */
  resourcesOver(exchange: Exchange): Resources;
  azureAccess(subscription: Subscription): Promise<AzureAccess>;
  checkConsent(question: ConsentQuestion): Promise<ConsentState>;
}
