/** What stands around our mail flow in a customer's organisation, read at once: one batch of Exchange Online, and each domain's MX. */
import type { MailExchanger, Organizations } from "../../graph/organization.ts";
import type { DnsResolver } from "../../dns/resolver.ts";
import { observing } from "../../resources/observing.ts";
import type { Observed, Owner } from "../../resources/resource.ts";
import { type AllRead, read } from "../batch.ts";
import type { Exchange } from "../client.ts";

/** Whose mail flow it is, and what of it is asked about. */
export interface MailFlow {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  domains: string[];
  loopHeader: string;
  /** Where the gateways' mail comes from; none while they aren't made. */
  egressIps: string[];
  /** The probe mailbox and the pilots: whose mail goes through the gateway first. */
  senders: string[];
  /** Whether the gateways' addresses belong on the connection filter's allow list. */
  connectionFilter: boolean;
  /** An onboarding has put all of it there before. */
  onboarded: boolean;
  /** Where the gateways use Exchange Web Services; with the client id of their application once it is made. */
  exchangeWebServices: { applicationId?: string | undefined } | undefined;
}

export interface Surroundings {
  rules: AllRead<"Get-TransportRule">;
  inboundConnectors: AllRead<"Get-InboundConnector">;
  outboundConnectors: AllRead<"Get-OutboundConnector">;
  connectionFilter: AllRead<"Get-HostedConnectionFilterPolicy">;
  organization: AllRead<"Get-OrganizationConfig">;
  limits: AllRead<"Get-LimitsEnforcementStatus">;
  mailboxes: { address: string; found: AllRead<"Get-Mailbox"> }[];
  exchangers: {
    domain: string;
    /** Where Microsoft 365 wants the domain's mail. */
    wanted: Observed<MailExchanger>;
    /** Where the world sends it. */
    published: Observed<MailExchanger[]>;
  }[];
}

export interface SurroundingsClients {
  exchange: Exchange;
  organizations: Pick<Organizations, "mailExchangerOf">;
  resolver: Pick<DnsResolver, "mailExchangers">;
}

/** The same reads as the resources' own, so that a plan needs them once. */
export const mailFlowReads = {
  rules: read("Get-TransportRule", {}),
  inboundConnectors: read("Get-InboundConnector", {}),
  outboundConnectors: read("Get-OutboundConnector", { IsTransportRuleScoped: true, IncludeTestModeConnectors: true }),
  connectionFilter: read("Get-HostedConnectionFilterPolicy", { Identity: "Default" }),
};

/** Nothing throws: what can't be read is unknown for itself. */
export async function surroundingsOf(
  { exchange, organizations, resolver }: SurroundingsClients,
  { organization, domains, senders }: MailFlow,
): Promise<Surroundings> {
  const mailboxReads = Object.fromEntries(
    senders.map((address) => [`mailbox ${address}`, read("Get-Mailbox", { Identity: address })]),
  );
  const [found, exchangers] = await Promise.all([
    exchange.readTogether(organization, {
      ...mailFlowReads,
      organization: read("Get-OrganizationConfig", { RetrieveEwsOperationAccessPolicy: true }),
      limits: read("Get-LimitsEnforcementStatus", {}),
      ...mailboxReads,
    }),
    Promise.all(
      domains.map(async (domain) => ({
        domain,
        wanted: await observing(() => organizations.mailExchangerOf(organization, domain)),
        published: await resolver.mailExchangers(domain),
      })),
    ),
  ]);
  const { rules, inboundConnectors, outboundConnectors, connectionFilter, organization: config, limits } = found;
  const byName = found as unknown as Record<string, AllRead<"Get-Mailbox">>;
  const mailboxes = senders.flatMap((address) => {
    const one = byName[`mailbox ${address}`];
    return one ? [{ address, found: one }] : [];
  });
  return { rules, inboundConnectors, outboundConnectors, connectionFilter, organization: config, limits, mailboxes, exchangers };
}
