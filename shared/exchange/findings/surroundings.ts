/** What stands around our mail flow in a customer's organisation, read at once: for a tenant with a few pilots these are two requests. */
import type { Owner } from "../../resources/resource.ts";
import { type AllRead, read } from "../batch.ts";
import type { Exchange } from "../client.ts";
import { type Remembered, rememberedOf } from "../remembered.ts";

/** Whose mail flow it is, and what of it is asked about. */
export interface MailFlow {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  loopHeader: string;
  /** Its name. */
  outboundConnector: string;
  /** Of the gateways' certificate, until lately: its connector is disabled, and waits for whoever goes back. */
  keptName?: string | undefined;
  /** Where the gateways' mail comes from; none while they aren't made. */
  egressIps: string[];
  /** The probe mailbox first, then the pilots: whose mail goes through the gateway first. */
  senders: string[];
  /** Whose mail runs through the gateway, once all of it does. */
  domains: string[];
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
  /** Those that rules send mail to, as ours does. */
  outboundConnectors: AllRead<"Get-OutboundConnector">;
  connectionFilter: AllRead<"Get-HostedConnectionFilterPolicy">;
  organization: AllRead<"Get-OrganizationConfig">;
  acceptedDomains: AllRead<"Get-AcceptedDomain">;
  limits: AllRead<"Get-LimitsEnforcementStatus">;
  mailboxes: { address: string; found: AllRead<"Get-Mailbox"> }[];
}

/** Nothing throws: what can't be read is unknown for itself. `remembered`: what our resources would ask again. */
export async function surroundingsOf(
  exchange: Exchange,
  { organization, outboundConnector, senders }: MailFlow,
): Promise<Surroundings & { remembered: Remembered }> {
  const reads = {
    rules: read("Get-TransportRule", {}),
    inboundConnectors: read("Get-InboundConnector", {}),
    outboundConnector: read("Get-OutboundConnector", { Identity: outboundConnector }),
    outboundConnectors: read("Get-OutboundConnector", { IsTransportRuleScoped: true, IncludeTestModeConnectors: true }),
    connectionFilter: read("Get-HostedConnectionFilterPolicy", { Identity: "Default" }),
    organization: read("Get-OrganizationConfig", { RetrieveEwsOperationAccessPolicy: true }),
    acceptedDomains: read("Get-AcceptedDomain", {}),
    limits: read("Get-LimitsEnforcementStatus", {}),
  };
  const mailboxReads = Object.fromEntries(
    senders.map((address): [string, ReturnType<typeof read<"Get-Mailbox">>] => [
      `mailbox:${address}`,
      read("Get-Mailbox", { Identity: address }),
    ]),
  );
  const found = await exchange.readTogether(organization, { ...mailboxReads, ...reads });
  return {
    rules: found.rules,
    inboundConnectors: found.inboundConnectors,
    outboundConnectors: found.outboundConnectors,
    connectionFilter: found.connectionFilter,
    organization: found.organization,
    acceptedDomains: found.acceptedDomains,
    limits: found.limits,
    mailboxes: senders.map((address) => ({ address, found: mailboxIn(found, `mailbox:${address}`) })),
    remembered: rememberedOf(organization, reads, found),
  };
}

const mailboxIn = (found: Record<string, unknown>, name: string): AllRead<"Get-Mailbox"> => found[name] as AllRead<"Get-Mailbox">;
