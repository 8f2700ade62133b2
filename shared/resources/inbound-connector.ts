/**
 * Mission C1 (manual, chapter 4.4.1): Microsoft 365 accepts the mail that the gateway returns, known by the gateway's addresses or by its
 * certificate. The two forms are two connectors, so that one can stand beside the other until mail has come back by it.
 */
import { publicAddresses } from "../exchange/addresses.ts";
import { canonicalAddresses, canonicalFlag, canonicalSenderDomains } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import type { InboundConnectorObject } from "../exchange/cmdlets.ts";
import { carries, markedComment, markerOf, ownAmong } from "../exchange/ownership.ts";
import { ControlPlaneError } from "../errors.ts";
import { adoptable, type Marked, type TakenOver } from "./adoptable.ts";
import { kept } from "./kept.ts";
import { observing } from "./observing.ts";
import { changesBetween, only } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export type InboundConnector = ByAddress | ByCertificate;

interface Connector extends TakenOver {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
}

interface ByAddress extends Connector {
  /** Public IPv4 addresses or ranges (/24 to /32) that the gateway's mail comes from. */
  egressIps: string[];
}

interface ByCertificate extends Connector {
  /** A name that the gateway's certificate has; under an accepted domain of the organisation. */
  certificateName: string;
}

export interface InboundConnectorActual extends InboundConnectorSettings, Marked {
  guid: string;
}

interface InboundConnectorSettings {
  name: string;
  enabled: boolean;
  connectorType: string;
  senderDomains: string[];
  senderIpAddresses: string[];
  /** From here on only where it is known by its certificate. */
  certificateName?: string | null;
  requireTls?: boolean;
  restrictDomainsToCertificate?: boolean;
  cloudServicesMailEnabled: boolean;
  treatMessagesAsInternal: boolean;
  efSkipLastIp: boolean;
}

const KIND = "inboundConnector";
// A mark is looked for within comments: none may begin with another.
const forms = {
  address: { name: "FROM Azure VM to M365", kind: KIND },
  certificate: { name: "FROM Azure VM to M365 by certificate", kind: "certificateInboundConnector" },
} as const;
const formOf = (desired: InboundConnector) => ("egressIps" in desired ? forms.address : forms.certificate);

export const inboundConnector = ({ exchange }: { exchange: Exchange }): Resource<InboundConnector, InboundConnectorActual> => {
  const find = async (desired: InboundConnector): Promise<InboundConnectorObject | undefined> => {
    const { name, kind } = formOf(desired);
    return ownAmong(
      await exchange.list(desired.organization, "Get-InboundConnector", {}),
      { name: kept(desired, "name", name), marker: markerOf(desired.owner, kind), what: "connector", adopting: desired.adopting },
      ({ Comment }) => Comment,
    );
  };

  /** Message centre, MC1226222: a connector by a certificate of somebody else's domain may stop working without notice. */
  async function requireLegal(desired: InboundConnector): Promise<void> {
    if ("egressIps" in desired) return void publicAddresses(desired.egressIps);
    const { certificateName } = desired;
    const accepted = (await exchange.list(desired.organization, "Get-AcceptedDomain", {})).map(({ DomainName }) => DomainName);
    if (!accepted.some((domain) => isUnder(certificateName, domain)))
      throw new ControlPlaneError(
        "CertificateDomainNotAccepted",
        `the certificate's name ${certificateName} is under none of the organisation's accepted domains`,
        409,
        false,
        { target: "gateway.certificate.name" },
      );
  }

  const resource: Resource<InboundConnector, InboundConnectorActual> = {
    kind: KIND,
    observe: (desired) =>
      observing(async () => {
        const found = await find(desired);
        const unmarked = found && !carries(found.Comment, markerOf(desired.owner, formOf(desired).kind));
        return found && { ...canonical(found), ...(unmarked && { unmarked }) };
      }),
    diff: (desired, actual) => changesBetween(settings(desired), actual),
    async create(desired) {
      await requireLegal(desired);
      const { name, kind } = formOf(desired);
      await exchange.run(desired.organization, "New-InboundConnector", {
        ...parameters(settings(desired)),
        Name: kept(desired, "name", name),
        SenderDomains: ["*"],
        Comment: markerOf(desired.owner, kind),
      });
      return done;
    },
    async update(desired, changes, { guid }) {
      await requireLegal(desired);
      await exchange.run(desired.organization, "Set-InboundConnector", {
        Identity: guid,
        ...parameters(only(settings(desired), changes)),
      });
      return done;
    },
    earlier: (desired, { senderIpAddresses: egressIps }) =>
      "egressIps" in desired ? { ensure: { ...desired, egressIps } } : undefined,
    async remove(desired) {
      const connector = await find(desired);
      if (connector) await exchange.run(desired.organization, "Remove-InboundConnector", { Identity: connector.Guid });
      return done;
    },
  };
  return adoptable(resource, async (desired, { guid }) => {
    const marker = markerOf(desired.owner, formOf(desired).kind);
    const Comment = markedComment((await find(desired))?.Comment, marker);
    await exchange.run(desired.organization, "Set-InboundConnector", { Identity: guid, Comment });
    return done;
  });
};

/** A name, or one below it. */
export const isUnder = (name: string, domain: string): boolean => {
  const [one, other] = [name.toLowerCase(), domain.toLowerCase()];
  return one === other || one.endsWith(`.${other}`);
};

const settings = (desired: InboundConnector): InboundConnectorSettings => ({
  name: formOf(desired).name,
  enabled: true,
  // Only this type gives the right to relay to the internet.
  connectorType: "OnPremises",
  senderDomains: ["*"],
  ...identity(desired),
  // Must be the same on both connectors.
  cloudServicesMailEnabled: false,
  treatMessagesAsInternal: false,
  // Mission C4: filtering judges the server before our gateway, so that inbound mail keeps its spam filtering.
  efSkipLastIp: true,
});

/** "Integrate Exchange Online with an email add-on service": TLS and the certificate are asked for, and no address. */
const identity = (desired: InboundConnector) =>
  "egressIps" in desired
    ? { senderIpAddresses: canonicalAddresses(desired.egressIps) }
    : {
        senderIpAddresses: [],
        certificateName: desired.certificateName,
        requireTls: true,
        restrictDomainsToCertificate: true,
      };

const canonical = (connector: InboundConnectorObject): InboundConnectorActual => ({
  guid: connector.Guid,
  name: connector.Name,
  enabled: canonicalFlag(connector.Enabled),
  connectorType: connector.ConnectorType ?? "Partner",
  senderDomains: canonicalSenderDomains(connector.SenderDomains),
  senderIpAddresses: canonicalAddresses(connector.SenderIPAddresses),
  certificateName: connector.TlsSenderCertificateName?.toLowerCase() ?? null,
  requireTls: canonicalFlag(connector.RequireTls),
  restrictDomainsToCertificate: canonicalFlag(connector.RestrictDomainsToCertificate),
  cloudServicesMailEnabled: canonicalFlag(connector.CloudServicesMailEnabled),
  treatMessagesAsInternal: canonicalFlag(connector.TreatMessagesAsInternal),
  efSkipLastIp: canonicalFlag(connector.EFSkipLastIP),
});

const parameters = (chosen: Partial<InboundConnectorSettings>) => ({
  Name: chosen.name,
  Enabled: chosen.enabled,
  ConnectorType: chosen.connectorType === undefined ? undefined : ("OnPremises" as const),
  SenderDomains: chosen.senderDomains,
  SenderIPAddresses: chosen.senderIpAddresses,
  TlsSenderCertificateName: chosen.certificateName ?? undefined,
  RequireTls: chosen.requireTls,
  RestrictDomainsToCertificate: chosen.restrictDomainsToCertificate,
  CloudServicesMailEnabled: chosen.cloudServicesMailEnabled,
  TreatMessagesAsInternal: chosen.treatMessagesAsInternal,
  EFSkipLastIP: chosen.efSkipLastIp,
});
