/** Mission C2 (manual, chapter 4.4.2): Microsoft 365 hands mail to the gateway, over TLS, only when a transport rule says so. */
import { canonicalFlag, canonicalSmartHosts } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import type { OutboundConnectorObject } from "../exchange/cmdlets.ts";
import { carries, markedComment, markerOf, ownAmong } from "../exchange/ownership.ts";
import { ControlPlaneError } from "../errors.ts";
import { adoptable, type Marked, type TakenOver } from "./adoptable.ts";
import { kept } from "./kept.ts";
import { observing } from "./observing.ts";
import { changesBetween, only } from "./property-changes.ts";
import { done, type Owner, type Resource } from "./resource.ts";

export interface OutboundConnector extends TakenOver {
  owner: Owner;
  /** Entra tenant id of the customer's Microsoft 365. */
  organization: string;
  /** Where Exchange Online delivers: names or addresses of the VM or the load balancer. */
  smartHosts: string[];
  /** The gateway's certificate has to be of a public authority, and for that name where one is given. Else any certificate will do. */
  certificate?: { name?: string | undefined } | undefined;
}

export interface OutboundConnectorActual extends OutboundConnectorSettings, Marked {
  guid: string;
}

interface OutboundConnectorSettings {
  name: string;
  enabled: boolean;
  connectorType: string;
  transportRuleScoped: boolean;
  useMxRecord: boolean;
  smartHosts: string[];
  tlsSettings: string | null;
  tlsDomain?: string | null;
  allAcceptedDomains: boolean;
  routeAllMessagesViaOnPremises: boolean;
  cloudServicesMailEnabled: boolean;
  testMode: boolean;
}

const KIND = "outboundConnector";
/** What the forwarding rule routes to. */
export const OUTBOUND_CONNECTOR_NAME = "M365 to Azure VM";

export const outboundConnector = ({ exchange }: { exchange: Exchange }): Resource<OutboundConnector, OutboundConnectorActual> => {
  /**
   * By identity first: a list leaves out connectors that are scoped to rules or in test mode. Only when none has our name are the lists
   * read, for one of ours that a person renamed.
   */
  async function find({ owner, organization, adopting, found }: OutboundConnector): Promise<OutboundConnectorObject | undefined> {
    const name = kept({ found }, "name", OUTBOUND_CONNECTOR_NAME);
    const ours = { name, marker: markerOf(owner, KIND), what: "connector", adopting };
    const commentOf = ({ Comment }: OutboundConnectorObject) => Comment;
    const named = ownAmong(
      await exchange.list(organization, "Get-OutboundConnector", { Identity: adopting ?? name }),
      ours,
      commentOf,
    );
    if (named) return named;
    for (const scoped of [true, false]) {
      const listed = await exchange.list(organization, "Get-OutboundConnector", {
        IsTransportRuleScoped: scoped,
        IncludeTestModeConnectors: true,
      });
      const renamed = ownAmong(listed, ours, commentOf);
      if (renamed) return renamed;
    }
    return undefined;
  }

  const resource: Resource<OutboundConnector, OutboundConnectorActual> = {
    kind: KIND,
    observe: (desired) =>
      observing(async () => {
        const found = await find(desired);
        const unmarked = found && !carries(found.Comment, markerOf(desired.owner, KIND));
        return found && { ...canonical(found), ...(unmarked && { unmarked }) };
      }),
    diff: (desired, actual) => changesBetween(settings(desired), actual),
    async create(desired) {
      requireSmartHost(desired);
      await exchange.run(desired.organization, "New-OutboundConnector", {
        ...parameters(settings(desired)),
        Name: kept(desired, "name", OUTBOUND_CONNECTOR_NAME),
        TlsDomain: desired.certificate?.name,
        Comment: markerOf(desired.owner, KIND),
      });
      return done;
    },
    async update(desired, changes, { guid, tlsDomain }) {
      requireSmartHost(desired);
      await exchange.run(desired.organization, "Set-OutboundConnector", {
        Identity: guid,
        ...parameters(only(settings(desired), changes)),
        // Only legal together with DomainValidation.
        ...(tlsDomain != null && desired.certificate?.name === undefined ? { TlsDomain: null } : {}),
      });
      return done;
    },
    earlier: (desired, { smartHosts }) => ({ ensure: { ...desired, smartHosts } }),
    async remove(desired) {
      const connector = await find(desired);
      if (connector) await exchange.run(desired.organization, "Remove-OutboundConnector", { Identity: connector.Guid });
      return done;
    },
  };
  return adoptable(resource, async (desired, { guid }) => {
    const Comment = markedComment((await find(desired))?.Comment, markerOf(desired.owner, KIND));
    await exchange.run(desired.organization, "Set-OutboundConnector", { Identity: guid, Comment });
    return done;
  });
};

const settings = ({ smartHosts, certificate }: OutboundConnector): OutboundConnectorSettings => ({
  name: OUTBOUND_CONNECTOR_NAME,
  enabled: true,
  connectorType: "OnPremises",
  // From its birth: else all mail would leave through it before any rule exists.
  transportRuleScoped: true,
  useMxRecord: false,
  smartHosts: canonicalSmartHosts(smartHosts),
  ...tls(certificate),
  allAcceptedDomains: false,
  routeAllMessagesViaOnPremises: false,
  // Must be the same on both connectors.
  cloudServicesMailEnabled: false,
  testMode: false,
});

function tls(certificate: OutboundConnector["certificate"]): Pick<OutboundConnectorSettings, "tlsSettings" | "tlsDomain"> {
  // Any certificate, the VM's self-signed one too, but never in clear.
  if (certificate === undefined) return { tlsSettings: "EncryptionOnly" };
  if (certificate.name === undefined) return { tlsSettings: "CertificateValidation", tlsDomain: null };
  return { tlsSettings: "DomainValidation", tlsDomain: certificate.name };
}

const TLS_SETTINGS = ["EncryptionOnly", "CertificateValidation", "DomainValidation"] as const;

function requireSmartHost({ smartHosts }: OutboundConnector): void {
  if (smartHosts.length === 0)
    throw new ControlPlaneError(
      "SmartHostMissing",
      "no smart host is named that the outbound connector delivers to",
      400,
      false,
      { target: "smartHosts" },
    );
}

const canonical = (connector: OutboundConnectorObject): OutboundConnectorActual => ({
  guid: connector.Guid,
  name: connector.Name,
  enabled: canonicalFlag(connector.Enabled),
  connectorType: connector.ConnectorType ?? "Partner",
  transportRuleScoped: canonicalFlag(connector.IsTransportRuleScoped),
  useMxRecord: canonicalFlag(connector.UseMXRecord ?? connector.UseMxRecord),
  smartHosts: canonicalSmartHosts(connector.SmartHosts),
  tlsSettings: connector.TlsSettings ?? null,
  tlsDomain: connector.TlsDomain?.toLowerCase() ?? null,
  allAcceptedDomains: canonicalFlag(connector.AllAcceptedDomains),
  routeAllMessagesViaOnPremises: canonicalFlag(connector.RouteAllMessagesViaOnPremises),
  cloudServicesMailEnabled: canonicalFlag(connector.CloudServicesMailEnabled),
  testMode: canonicalFlag(connector.TestMode),
});

const parameters = (chosen: Partial<OutboundConnectorSettings>) => ({
  Name: chosen.name,
  Enabled: chosen.enabled,
  ConnectorType: chosen.connectorType === undefined ? undefined : ("OnPremises" as const),
  IsTransportRuleScoped: chosen.transportRuleScoped,
  // Smart hosts are only legal together with UseMXRecord false.
  UseMXRecord: chosen.smartHosts === undefined ? chosen.useMxRecord : false,
  SmartHosts: chosen.smartHosts,
  TlsSettings: TLS_SETTINGS.find((one) => one === chosen.tlsSettings),
  TlsDomain: chosen.tlsDomain,
  AllAcceptedDomains: chosen.allAcceptedDomains,
  RouteAllMessagesViaOnPremises: chosen.routeAllMessagesViaOnPremises,
  CloudServicesMailEnabled: chosen.cloudServicesMailEnabled,
  TestMode: chosen.testMode,
});
