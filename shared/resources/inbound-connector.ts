/**
 * Mission C1 (manual, chapter 4.4.1): Microsoft 365 accepts the mail that the gateway returns, known by the gateway's addresses or by its
 * certificate. The two forms are two connectors, so that one can stand beside the other until mail has come back by it; so are two names of
 * the certificate, while it gets another one.
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
  /** Left out where it is: else it only waits for whoever goes back to it. */
  enabled?: boolean | undefined;
}

interface ByAddress extends Connector {
  /** Public IPv4 addresses or ranges (/24 to /32) that the gateway's mail comes from. */
  egressIps: string[];
}

interface ByCertificate extends Connector {
  /** A name that the gateway's certificate has; under an accepted domain of the organisation. */
  certificateName: string;
  /** Where there is one for another name, too: that one is never meant. */
  beside?: string | undefined;
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
/** Of two, the one that was made second is called so for as long as it stands. */
const SECOND = `${forms.certificate.name} 2`;

export const inboundConnector = ({ exchange }: { exchange: Exchange }): Resource<InboundConnector, InboundConnectorActual> => {
  const listed = (desired: InboundConnector): Promise<InboundConnectorObject[]> =>
    exchange.list(desired.organization, "Get-InboundConnector", {});

  const find = async (desired: InboundConnector): Promise<InboundConnectorObject | undefined> =>
    foundAmong(await listed(desired), desired);

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
      const { kind } = formOf(desired);
      await exchange.run(desired.organization, "New-InboundConnector", {
        ...parameters(settings(desired)),
        Name: nameAmong(await listed(desired), desired),
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
        ...(changes.some(({ path }) => path === "name") && { Name: nameAmong(await listed(desired), desired) }),
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

/** Ours, by its mark. Of two that know the gateways by a certificate the one for its name, and never the one for the other name. */
function foundAmong(all: InboundConnectorObject[], desired: InboundConnector): InboundConnectorObject | undefined {
  const marker = markerOf(desired.owner, formOf(desired).kind);
  const wanted = { name: nameAmong(all, desired), marker, what: "connector", adopting: desired.adopting };
  const commentOf = ({ Comment }: InboundConnectorObject) => Comment;
  if ("egressIps" in desired) return ownAmong(all, wanted, commentOf);
  const other = besideAmong(all, desired);
  const named = all.find((one) => carries(one.Comment, marker) && nameIn(one) === desired.certificateName);
  const others = all.filter((one) => one !== other);
  return named ?? ownAmong(others, wanted, commentOf);
}

function besideAmong(all: InboundConnectorObject[], { owner, beside }: ByCertificate): InboundConnectorObject | undefined {
  const marker = markerOf(owner, forms.certificate.kind);
  return beside === undefined ? undefined : all.find((one) => carries(one.Comment, marker) && nameIn(one) === beside);
}

/** What it is called, or would be. */
function nameAmong(all: InboundConnectorObject[], desired: InboundConnector): string {
  const { name } = formOf(desired);
  if ("egressIps" in desired) return kept(desired, "name", name);
  return besideAmong(all, desired)?.Name === name ? SECOND : name;
}

const nameIn = ({ TlsSenderCertificateName: name }: InboundConnectorObject): string | undefined => name?.toLowerCase();

/** A name, or one below it. */
export const isUnder = (name: string, domain: string): boolean => {
  const [one, other] = [name.toLowerCase(), domain.toLowerCase()];
  return one === other || one.endsWith(`.${other}`);
};

const settings = (desired: InboundConnector): InboundConnectorSettings => ({
  name: formOf(desired).name,
  enabled: desired.enabled ?? true,
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
  name: connector.Name === SECOND ? forms.certificate.name : connector.Name,
  enabled: canonicalFlag(connector.Enabled),
  connectorType: connector.ConnectorType ?? "Partner",
  senderDomains: canonicalSenderDomains(connector.SenderDomains),
  senderIpAddresses: canonicalAddresses(connector.SenderIPAddresses),
  certificateName: nameIn(connector) ?? null,
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
