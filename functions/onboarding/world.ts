/** What onboarding needs of the world: the API's part, the clouds' clients, the durations that travel with each operation. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Azure } from "../../shared/azure/client.ts";
import type { AzureAccess } from "../../shared/azure/access.ts";
import type { Subscription } from "../../shared/azure/place.ts";
import type { Authorities } from "../../shared/dns/authorities.ts";
import type { DnsResolver } from "../../shared/dns/resolver.ts";
import type { CloudEnvironment } from "../../shared/environment.ts";
import type { Exchange } from "../../shared/exchange/client.ts";
import type { OwnAccess } from "../../shared/exchange/own-access.ts";
import type { ConnectorValidation } from "../../shared/exchange/probe.ts";
import type { ConsentQuestion, ConsentState } from "../../shared/graph/consent.ts";
import type { ProbeMails } from "../../shared/graph/mail.ts";
import type { MessageTraces } from "../../shared/graph/message-traces.ts";
import type { Groups } from "../../shared/graph/groups.ts";
import type { Organizations } from "../../shared/graph/organization.ts";
import type { OwnRights } from "../../shared/graph/own-rights.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { StartTls } from "../../shared/smtp/starttls.ts";
import type { Certificates } from "../../shared/vault/certificates.ts";
import type { Vaults } from "../../shared/vault/client.ts";
import type { OnboardingPace } from "./orchestrator.ts";

export interface OnboardingWorld extends ApiWorld {
  environment: CloudEnvironment;
  /** What our application is and may do in an organisation's Exchange Online, and the rights that it gives back. */
  ownAccess: OwnAccess;
  ownRights: OwnRights;
  azure: Azure;
  exchange: Exchange;
  resources: Resources;
  /** The same over another client of Exchange Online. */
  resourcesOver(exchange: Exchange): Resources;
  vaults: Vaults;
  certificates: Certificates;
  startTls: StartTls;
  azureAccess(subscription: Subscription): Promise<AzureAccess>;
  organizations: Organizations;
  groups: Groups;
  resolver: DnsResolver;
  /** The name servers of the domains themselves. */
  authorities: Authorities;
  checkConsent(question: ConsentQuestion): Promise<ConsentState>;
  probes: ProbeMails;
  traces: MessageTraces;
  /** The platform's own mailbox outside all customers: canary mails go there and come from there. */
  canaryMailbox: { organization: string; address: string } | undefined;
  validateOutboundConnector(organization: string, identity: string, recipient: string): Promise<ConnectorValidation>;
  pace: OnboardingPace;
  reportFailure(activity: string, error: unknown): void;
  /** The page on which a customer's administrator consents to our application; the answer comes back to `redirectUri`. */
  consentUrl(request: { organization: string; redirectUri: string; state: string }): string;
}
