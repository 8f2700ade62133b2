/**
 * Exchange Online Protection's front end: whose mail a connection brings, and whether it may.
 *
 * Source: research step S3: to relay to the internet, the certificate's or the MAIL FROM's domain must be an accepted domain AND
 * certificate or address must match an OnPremises inbound connector of that organisation; a failure is `550 5.7.64 TenantAttribution;
 * Relay Access Denied`. Attribution looks at the certificate before MAIL FROM, and at that before RCPT TO (MC1226222).
 */
import type { ClientCertificate, MailReceiver, Organization } from "../simulator.ts";
import { domainOf } from "../mail/message.ts";
import { FRONT_END_ADDRESS, MX_SUFFIX } from "./addresses.ts";
import { list } from "./connectors.ts";
import { contains } from "./ranges.ts";
import type { ExchangeStore } from "./store.ts";
import type { Submission } from "./transport.ts";

const FQDN = `AM0EUR01FT001.${MX_SUFFIX}`;
const RELAY_DENIED = "550 5.7.64 TenantAttribution; Relay Access Denied [AM0EUR01FT001.mail.protection.outlook.com]";
const UNKNOWN_RECIPIENT = "550 5.4.1 Recipient address rejected: Access denied. [AM0EUR01FT001.mail.protection.outlook.com]";
const BLOCKED = "550 5.7.1 Service unavailable, Client host blocked using Customer Block list; the connection filter refuses it";

export function createFrontEnd(
  store: ExchangeStore,
  submit: (submission: Submission) => void,
): (address: string) => MailReceiver | undefined {
  /** The organisation that has an accepted domain of the certificate, and a connector that names it. */
  function attributedByCertificate({ names, trusted }: ClientCertificate): string | undefined {
    if (!trusted) return undefined;
    for (const name of names) {
      const organization = organizationAbove(store, name.replace(/^\*\./, ""));
      const connectors = organization ? store.inboundConnectors.of(organization.tenantId) : [];
      const named = connectors.find(
        ({ settings }) =>
          settings["Enabled"] === true &&
          settings["ConnectorType"] === "OnPremises" &&
          certificateMatches(settings["TlsSenderCertificateName"], name),
      );
      if (named) return organization?.tenantId;
    }
    return undefined;
  }

  /** The organisation whose connector lets this server relay for this sender. */
  function relayingFor(source: string, envelopeFrom: string, certificate: ClientCertificate | undefined): string | undefined {
    const attributed = certificate && attributedByCertificate(certificate);
    if (attributed !== undefined) return attributed;
    const organization = envelopeFrom === "" ? undefined : store.organizationOf(envelopeFrom);
    if (!organization) return undefined;
    const connector = store.inboundConnectors
      .of(organization.tenantId)
      .find(
        ({ settings }) =>
          settings["Enabled"] === true &&
          settings["ConnectorType"] === "OnPremises" &&
          senderDomainsInclude(list(settings["SenderDomains"]), domainOf(envelopeFrom)) &&
          contains(list(settings["SenderIPAddresses"]), source),
      );
    return connector ? organization.tenantId : undefined;
  }

  function refuses(
    source: string,
    envelopeFrom: string,
    recipient: string,
    certificate: ClientCertificate | undefined,
  ): string | undefined {
    const organization = store.organizationOf(recipient);
    if (!organization) return relayingFor(source, envelopeFrom, certificate) === undefined ? RELAY_DENIED : undefined;
    if (contains(store.filterPolicy(organization.tenantId).blocked, source)) return BLOCKED;
    // Directory-based edge blocking: an authoritative domain has no unknown recipients.
    return store.messagesIn(organization.tenantId, recipient) === undefined ? UNKNOWN_RECIPIENT : undefined;
  }

  function take({ source, helo, message, certificate }: Parameters<MailReceiver["take"]>[0]): string {
    const relaying = relayingFor(source, message.envelopeFrom, certificate);
    const lastHop = { address: source, helo };
    const groups = new Map<string, string[]>();
    for (const recipient of message.recipients) {
      const tenantId = relaying ?? store.organizationOf(recipient)?.tenantId;
      if (tenantId !== undefined) groups.set(tenantId, [...(groups.get(tenantId) ?? []), recipient]);
    }
    for (const [tenantId, recipients] of groups) {
      const trusted = contains(store.filterPolicy(tenantId).allowed, source);
      submit({
        tenantId,
        message: { ...message, recipients },
        lastHop,
        authenticated: relaying !== undefined,
        scl: trusted ? -1 : undefined,
      });
    }
    return "250 2.6.0 Queued mail for delivery";
  }

  const receiver: MailReceiver = {
    fqdn: FQDN,
    banner: "Microsoft ESMTP MAIL Service ready",
    startTls: true,
    asksForCertificates: true,
    refuses,
    take,
  };
  return (address) => (address === FRONT_END_ADDRESS ? receiver : undefined);
}

/** Whose accepted domain the name is, or is below. */
const organizationAbove = (store: ExchangeStore, name: string): Organization | undefined => {
  for (let at = name; at.includes("."); at = at.slice(at.indexOf(".") + 1)) {
    const organization = store.organizationOf(`postmaster@${at}`);
    if (organization) return organization;
  }
  return undefined;
};

/** The connector's name may be a wildcard, and so may the certificate's. */
const certificateMatches = (wanted: unknown, name: string): boolean =>
  typeof wanted === "string" &&
  (wanted.toLowerCase() === name || (wanted.startsWith("*.") && name.slice(name.indexOf(".")) === wanted.slice(1).toLowerCase()));

/** Stored as `smtp:*;1` or `smtp:contoso.com;1`; `*.` covers subdomains. */
const senderDomainsInclude = (domains: string[], domain: string): boolean =>
  domains.some((stored) => {
    const wanted = stored
      .replace(/^smtp:/i, "")
      .replace(/;\d+$/, "")
      .toLowerCase();
    return wanted === "*" || wanted === domain || (wanted.startsWith("*.") && domain.endsWith(wanted.slice(1)));
  });
