/** Where the gateway sends mail on to, and for whom: read where Microsoft 365 says it, for plan and onboarding alike. */
import { spfRanges } from "../dns/spf.ts";
import { ControlPlaneError } from "../errors.ts";
import type { CloudEnvironment } from "../environment.ts";
import type { DnsResolver } from "../dns/resolver.ts";
import type { Organizations } from "../graph/organization.ts";

export interface MailRouteClients {
  organizations: Organizations;
  resolver: DnsResolver;
  environment: CloudEnvironment;
}

export interface MailRoute {
  smartHost: string;
  /** Exchange Online's own addresses: without them a pilot's mail to the rest of the world would end at the gateway. */
  relayFrom: string[];
  /** All domains that the organisation has verified, where these are asked for. */
  domains?: string[] | undefined;
}

export interface MailRouteQuestion {
  organization: string;
  /** The one that gives the smart host. */
  domain: string;
  /** Mission B4: the gateway keeps in step with Microsoft 365's domains. */
  acceptedDomains?: boolean | undefined;
}

export async function mailRouteOf(
  { organizations, resolver, environment }: MailRouteClients,
  { organization, domain, acceptedDomains = false }: MailRouteQuestion,
): Promise<MailRoute> {
  const exchanger = await organizations.mailExchangerOf(organization, domain);
  if (!exchanger) {
    const message = `Microsoft 365 takes no mail for ${domain}, so the gateway would have no smart host`;
    throw new ControlPlaneError("MailExchangerMissing", message, 409);
  }
  const relayFrom = await spfRanges(resolver, environment.exchange.spfHost);
  const domains = acceptedDomains ? { domains: await organizations.verifiedDomains(organization) } : {};
  return { smartHost: exchanger.host, relayFrom, ...domains };
}
