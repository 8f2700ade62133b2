/** What onboarding needs of the world: the API's part, the clouds' clients, the durations that travel with each operation. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { AzureAccess } from "../../shared/azure/access.ts";
import type { Subscription } from "../../shared/azure/place.ts";
import type { CloudEnvironment } from "../../shared/environment.ts";
import type { ControlPlaneError } from "../../shared/errors.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Vaults } from "../../shared/vault/client.ts";
import type { OnboardingPace } from "./orchestrator.ts";

export interface OnboardingWorld extends ApiWorld {
  environment: CloudEnvironment;
  resources: Resources;
  vaults: Vaults;
  azureAccess(subscription: Subscription): Promise<AzureAccess>;
  organizations: Organizations;
  mail: ProbeMail;
  exchangeProbe: ExchangeProbe;
  pace: OnboardingPace;
  reportFailure(activity: string, error: unknown): void;
  /** The page on which a customer's administrator consents to our application; the answer comes back to `redirectUri`. */
  consentUrl(request: { organization: string; redirectUri: string; state: string }): string;
}

/** A customer's Microsoft 365 as Graph tells it. */
export interface Organizations {
  /** Host name of the domain's MX record in Microsoft 365. */
  mailExchangerOf(organization: string, domain: string): Promise<string>;
  checkConsent(request: { organization: string; domains: string[] }): Promise<ConsentFound>;
}

export type ConsentFound =
  | { state: "granted" }
  | { state: "pending"; reason: string }
  | { state: "refused"; error: ControlPlaneError };

export interface ProbeMail {
  sendProbe(organization: string, mailbox: string, probe: { subject: string; to: string }): Promise<void>;
  findProbe(organization: string, mailbox: string, subject: string): Promise<ProbeArrival>;
}

export type ProbeArrival =
  | { state: "absent" }
  | { state: "arrived"; headers: { name: string; value: string }[]; receivedHops: string[] };

export interface ExchangeProbe {
  validateOutboundConnector(
    organization: string,
    identity: string,
    recipient: string,
  ): Promise<{ succeeded: boolean; detail: string }>;
}
