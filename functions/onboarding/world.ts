/** What onboarding needs of the world: the API's part, the clouds' clients, the durations that travel with each operation. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Authorities } from "../../shared/dns/authorities.ts";
import type { Blocklists } from "../../shared/dns/blocklists.ts";
import type { OwnAccess } from "../../shared/exchange/own-access.ts";
import type { ConnectorValidation } from "../../shared/exchange/probe.ts";
import type { ProbeMails } from "../../shared/graph/mail.ts";
import type { MessageTraces } from "../../shared/graph/message-traces.ts";
import type { Groups } from "../../shared/graph/groups.ts";
import type { OwnRights } from "../../shared/graph/own-rights.ts";
import type { RunbookWorld } from "../../shared/runbook/world.ts";
import type { StartTls } from "../../shared/smtp/starttls.ts";
import type { Plans } from "../../shared/plans/plans.ts";
import type { Certificates } from "../../shared/vault/certificates.ts";
import type { OnboardingPace } from "./orchestrator.ts";

export interface OnboardingWorld extends ApiWorld, RunbookWorld {
  /** What our application is and may do in an organisation's Exchange Online, and the rights that it gives back. */
  ownAccess: OwnAccess;
  ownRights: OwnRights;
  certificates: Certificates;
  startTls: StartTls;
  groups: Groups;
  /** The name servers of the domains themselves. */
  authorities: Authorities;
  blocklists: Blocklists;
  probes: ProbeMails;
  traces: MessageTraces;
  /** The platform's own mailbox outside all customers: canary mails go there and come from there. */
  canaryMailbox: { organization: string; address: string } | undefined;
  validateOutboundConnector(organization: string, identity: string, recipient: string): Promise<ConnectorValidation>;
  pace: OnboardingPace;
  plans: Plans;
  reportFailure(activity: string, error: unknown): void;
  /** The page on which a customer's administrator consents to our application; the answer comes back to `redirectUri`. */
  consentUrl(request: { organization: string; redirectUri: string; state: string }): string;
}
