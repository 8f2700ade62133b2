/** Mission C1 (manual, chapter 4.4.1): Microsoft 365 accepts the mail that the gateway returns, known by the gateway's addresses. */
import { publicAddresses } from "../exchange/addresses.ts";
import { canonicalAddresses, canonicalFlag, canonicalSenderDomains } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import type { InboundConnectorObject } from "../exchange/cmdlets.ts";
import { markerOf, ownAmong } from "../exchange/ownership.ts";
import { observing } from "./observing.ts";
import { changesBetween, only } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export interface InboundConnector {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Public IPv4 addresses or ranges (/24 to /32) that the gateway's mail comes from. */
  egressIps: string[];
}

export interface InboundConnectorActual extends InboundConnectorSettings {
  guid: string;
}

interface InboundConnectorSettings {
  name: string;
  enabled: boolean;
  connectorType: string;
  senderDomains: string[];
  senderIpAddresses: string[];
  cloudServicesMailEnabled: boolean;
  treatMessagesAsInternal: boolean;
  efSkipLastIp: boolean;
}

const KIND = "inboundConnector";
const NAME = "FROM Azure VM to M365";

export const inboundConnector = ({ exchange }: { exchange: Exchange }): Resource<InboundConnector, InboundConnectorActual> => {
  const find = async ({ owner, organization }: InboundConnector): Promise<InboundConnectorObject | undefined> =>
    ownAmong(
      await exchange.list(organization, "Get-InboundConnector", {}),
      { name: NAME, marker: markerOf(owner, KIND), what: "connector" },
      ({ Comment }) => Comment,
    );

  return {
    kind: KIND,
    observe: (desired) => observing(async () => canonical(await find(desired))),
    diff: (desired, actual) => changesBetween(settings(desired), actual),
    async create(desired) {
      publicAddresses(desired.egressIps);
      await exchange.run(desired.organization, "New-InboundConnector", {
        ...parameters(settings(desired)),
        Name: NAME,
        SenderDomains: ["*"],
        Comment: markerOf(desired.owner, KIND),
      });
      return done;
    },
    async update(desired, changes, { guid }) {
      publicAddresses(desired.egressIps);
      await exchange.run(desired.organization, "Set-InboundConnector", {
        Identity: guid,
        ...parameters(only(settings(desired), changes)),
      });
      return done;
    },
    async remove(desired) {
      const connector = await find(desired);
      if (connector) await exchange.run(desired.organization, "Remove-InboundConnector", { Identity: connector.Guid });
      return done;
    },
  };
};

const settings = ({ egressIps }: InboundConnector): InboundConnectorSettings => ({
  name: NAME,
  enabled: true,
  // Only this type gives the right to relay to the internet.
  connectorType: "OnPremises",
  senderDomains: ["*"],
  senderIpAddresses: canonicalAddresses(egressIps),
  // Must be the same on both connectors.
  cloudServicesMailEnabled: false,
  treatMessagesAsInternal: false,
  // Mission C4: filtering judges the server before our gateway, so that inbound mail keeps its spam filtering.
  efSkipLastIp: true,
});

const canonical = (connector: InboundConnectorObject | undefined): InboundConnectorActual | undefined =>
  connector && {
    guid: connector.Guid,
    name: connector.Name,
    enabled: canonicalFlag(connector.Enabled),
    connectorType: connector.ConnectorType ?? "Partner",
    senderDomains: canonicalSenderDomains(connector.SenderDomains),
    senderIpAddresses: canonicalAddresses(connector.SenderIPAddresses),
    cloudServicesMailEnabled: canonicalFlag(connector.CloudServicesMailEnabled),
    treatMessagesAsInternal: canonicalFlag(connector.TreatMessagesAsInternal),
    efSkipLastIp: canonicalFlag(connector.EFSkipLastIP),
  };

const parameters = (chosen: Partial<InboundConnectorSettings>) => ({
  Name: chosen.name,
  Enabled: chosen.enabled,
  ConnectorType: chosen.connectorType === undefined ? undefined : ("OnPremises" as const),
  SenderDomains: chosen.senderDomains,
  SenderIPAddresses: chosen.senderIpAddresses,
  CloudServicesMailEnabled: chosen.cloudServicesMailEnabled,
  TreatMessagesAsInternal: chosen.treatMessagesAsInternal,
  EFSkipLastIP: chosen.efSkipLastIp,
});
