/**
 * Inbound and outbound connectors: Get-, New-, Set- and Remove-.
 *
 * Sources: research on New-InboundConnector, New-OutboundConnector and Get-OutboundConnector (Microsoft's cmdlet reference), steps S3 and S4.
 */
import { randomUUID } from "node:crypto";
import { alreadyExists, ARGUMENT, CmdletError, notFound } from "./answers.ts";
import { applied, type Bound, type MultiValue, type ParameterType } from "./binder.ts";
import { type Cmdlet, type CmdletContext, distinguishedName, flag, reading, text } from "./cmdlet.ts";
import { canonicalRange, requireConnectorAddresses } from "./ranges.ts";
import type { Connector, ExchangeStore, OwnedCollection } from "./store.ts";

const TYPES = ["Partner", "OnPremises"] as const;
const SOURCES = ["Default", "Migrated", "HybridWizard", "AdminUI"] as const;
const NAME_LIMIT = 64;
/** "Inbound connector FAQ": what new and trial organisations are told. */
const DISABLED = "The connector was created in a disabled state. Contact Support to enable it.";

const inboundSettings: Record<string, ParameterType> = {
  AssociatedAcceptedDomains: "multivalue",
  ClientHostNames: "multivalue",
  CloudServicesMailEnabled: "boolean",
  Comment: "string",
  ConnectorSource: SOURCES,
  ConnectorType: TYPES,
  EFSkipIPs: "multivalue",
  EFSkipLastIP: "boolean",
  EFTestMode: "boolean",
  EFUsers: "multivalue",
  Enabled: "boolean",
  RequireTls: "boolean",
  RestrictDomainsToCertificate: "boolean",
  RestrictDomainsToIPAddresses: "boolean",
  ScanAndDropRecipients: "multivalue",
  SenderDomains: "multivalue",
  SenderIPAddresses: "multivalue",
  TlsSenderCertificateName: "string",
  TreatMessagesAsInternal: "boolean",
  TrustedOrganizations: "multivalue",
};

const inboundDefaults: Record<string, unknown> = {
  AssociatedAcceptedDomains: [],
  ClientHostNames: [],
  CloudServicesMailEnabled: false,
  Comment: null,
  ConnectorSource: "Default",
  ConnectorType: "Partner",
  EFSkipIPs: [],
  EFSkipLastIP: false,
  EFTestMode: false,
  EFUsers: [],
  Enabled: true,
  RequireTls: false,
  RestrictDomainsToCertificate: false,
  RestrictDomainsToIPAddresses: false,
  ScanAndDropRecipients: [],
  SenderDomains: [],
  SenderIPAddresses: [],
  TlsSenderCertificateName: null,
  TreatMessagesAsInternal: false,
  TrustedOrganizations: [],
};

const outboundSettings: Record<string, ParameterType> = {
  AllAcceptedDomains: "boolean",
  CloudServicesMailEnabled: "boolean",
  Comment: "string",
  ConnectorSource: SOURCES,
  ConnectorType: TYPES,
  Enabled: "boolean",
  IsTransportRuleScoped: "boolean",
  MtaStsMode: ["Opportunistic", "None"],
  RecipientDomains: "multivalue",
  RouteAllMessagesViaOnPremises: "boolean",
  SenderRewritingEnabled: "boolean",
  SmartHosts: "multivalue",
  SmtpDaneMode: ["Opportunistic", "Mandatory", "None"],
  TestMode: "boolean",
  TlsDomain: "string",
  TlsSettings: ["EncryptionOnly", "CertificateValidation", "DomainValidation"],
  UseMXRecord: "boolean",
};

const outboundDefaults: Record<string, unknown> = {
  AllAcceptedDomains: false,
  CloudServicesMailEnabled: false,
  Comment: null,
  ConnectorSource: "Default",
  ConnectorType: "Partner",
  Enabled: true,
  IsTransportRuleScoped: false,
  IsValidated: false,
  LastValidationTimestamp: null,
  MtaStsMode: "Opportunistic",
  RecipientDomains: [],
  RouteAllMessagesViaOnPremises: false,
  SenderRewritingEnabled: false,
  SmartHosts: [],
  SmtpDaneMode: "Opportunistic",
  TestMode: false,
  TlsDomain: null,
  TlsSettings: null,
  UseMXRecord: true,
  ValidationRecipients: [],
};

const inbound: Kind = {
  noun: "inbound connector",
  container: "InboundConnectors",
  defaults: inboundDefaults,
  collection: (store) => store.inboundConnectors,
  normalise: (settings) => ({
    ...settings,
    // `contoso.com` is stored and shown as `smtp:contoso.com;1` (Microsoft365DSC issue 2180: plain input looked like drift for ever).
    SenderDomains: list(settings["SenderDomains"]).map((domain) => (/^smtp:.*;\d+$/i.test(domain) ? domain : `smtp:${domain};1`)),
    SenderIPAddresses: list(settings["SenderIPAddresses"]).map(canonicalRange),
  }),
  check: (settings) => {
    const onPremises = settings["ConnectorType"] === "OnPremises";
    requireConnectorAddresses("SenderIPAddresses", list(settings["SenderIPAddresses"]));
    if (settings["TreatMessagesAsInternal"] === true && (!onPremises || settings["CloudServicesMailEnabled"] === true))
      throw new CmdletError(
        ARGUMENT,
        "The TreatMessagesAsInternal parameter can only be set to true for Connector type OnPremises, and not together with CloudServicesMailEnabled.",
      );
    if (settings["CloudServicesMailEnabled"] === true && !onPremises)
      throw new CmdletError(
        ARGUMENT,
        "The CloudServicesMailEnabled parameter can only be specified for Connector type OnPremises.",
      );
    if (settings["RestrictDomainsToIPAddresses"] === true && settings["RestrictDomainsToCertificate"] === true)
      throw new CmdletError(ARGUMENT, "RestrictDomainsToIPAddresses and RestrictDomainsToCertificate can't both be true.");
    if (settings["RestrictDomainsToIPAddresses"] === true && list(settings["SenderIPAddresses"]).length === 0)
      throw new CmdletError(ARGUMENT, "SenderIPAddresses must be specified when RestrictDomainsToIPAddresses is true.");
    if (settings["RestrictDomainsToCertificate"] === true && !settings["TlsSenderCertificateName"])
      throw new CmdletError(ARGUMENT, "TlsSenderCertificateName must be specified when RestrictDomainsToCertificate is true.");
    if (list(settings["SenderDomains"]).length === 0)
      throw new CmdletError(ARGUMENT, "The SenderDomains parameter must have at least one value.");
  },
  blocked: ({ tenantId, store }) => store.organization(tenantId)?.exchange?.inboundConnectorsDisabled ?? false,
  removable: () => undefined,
};

const outbound: Kind = {
  noun: "outbound connector",
  container: "OutboundConnectors",
  defaults: outboundDefaults,
  collection: (store) => store.outboundConnectors,
  normalise: (settings) => settings,
  check: (settings) => {
    const onPremises = settings["ConnectorType"] === "OnPremises";
    const smartHosts = list(settings["SmartHosts"]);
    if (smartHosts.length > 0 && settings["UseMXRecord"] === true)
      throw new CmdletError(
        ARGUMENT,
        "The SmartHosts parameter can't be used while UseMXRecord is true. Set UseMXRecord to false.",
      );
    if (smartHosts.length === 0 && settings["UseMXRecord"] === false)
      throw new CmdletError(ARGUMENT, "The SmartHosts parameter is required when UseMXRecord is false.");
    for (const host of smartHosts)
      if (!/^(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?(\/\d{1,2})?$/i.test(host))
        throw new CmdletError(ARGUMENT, `The smart host "${host}" isn't valid.`);
    if (settings["TlsSettings"] === "DomainValidation" && !settings["TlsDomain"])
      throw new CmdletError(ARGUMENT, "The TlsDomain parameter is required when TlsSettings is DomainValidation.");
    if (settings["TlsDomain"] && settings["TlsSettings"] !== "DomainValidation")
      throw new CmdletError(ARGUMENT, "The TlsDomain parameter can only be used when TlsSettings is DomainValidation.");
    for (const name of ["RouteAllMessagesViaOnPremises", "SenderRewritingEnabled", "CloudServicesMailEnabled"])
      if (settings[name] === true && !onPremises)
        throw new CmdletError(ARGUMENT, `The ${name} parameter can only be specified for Connector type OnPremises.`);
  },
  blocked: () => false,
  removable: ({ tenantId, store }, { guid, name }) => {
    const rule = store.rules.of(tenantId).find(({ settings }) => settings["RouteMessageOutboundConnector"] === guid);
    if (rule)
      throw new CmdletError(
        "Microsoft.Exchange.Management.Tasks.OutboundConnectorInUseException",
        `The outbound connector "${name}" can't be removed because it's used by the transport rule "${rule.name}".`,
      );
  },
};

export const connectorCmdlets: Record<string, Cmdlet> = {
  "Get-InboundConnector": {
    parameters: { Identity: "string", ResultSize: "string" },
    prepare: (context, bound) => reading(() => found(inbound, context, bound).map((one) => shown(inbound, one))),
  },
  "New-InboundConnector": {
    parameters: { Name: "string", ...inboundSettings },
    mandatory: ["Name", "SenderDomains"],
    shouldProcess: true,
    prepare: (context, bound) => creating(inbound, context, bound),
  },
  "Set-InboundConnector": {
    parameters: { Identity: "string", Name: "string", ...inboundSettings },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => changing(inbound, context, bound),
  },
  "Remove-InboundConnector": removing(inbound),
  "Get-OutboundConnector": {
    parameters: {
      Identity: "string",
      IncludeTestModeConnectors: "boolean",
      IsTransportRuleScoped: "boolean",
      ResultSize: "string",
    },
    prepare: (context, bound) =>
      reading(() => {
        const scoped = flag(bound, "IsTransportRuleScoped") ?? false;
        const testMode = flag(bound, "IncludeTestModeConnectors") ?? false;
        // Documented default $false: without the parameter, rule-scoped connectors don't show; by Identity they do.
        const passes = ({ settings }: Connector): boolean =>
          settings["IsTransportRuleScoped"] === scoped && (testMode || settings["TestMode"] !== true);
        return found(outbound, context, bound, passes).map((one) => shown(outbound, one));
      }),
  },
  "New-OutboundConnector": {
    parameters: { Name: "string", ...outboundSettings },
    mandatory: ["Name"],
    shouldProcess: true,
    prepare: (context, bound) => creating(outbound, context, bound),
  },
  "Set-OutboundConnector": {
    parameters: {
      Identity: "string",
      Name: "string",
      ...outboundSettings,
      IsValidated: "boolean",
      LastValidationTimestamp: "date",
      ValidationRecipients: "strings",
    },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => changing(outbound, context, bound),
  },
  "Remove-OutboundConnector": removing(outbound),
};

interface Kind {
  noun: string;
  container: string;
  defaults: Record<string, unknown>;
  collection(store: ExchangeStore): OwnedCollection<Connector>;
  normalise(settings: Record<string, unknown>): Record<string, unknown>;
  readonly check: (settings: Record<string, unknown>) => void;
  /** Whether the organisation has such connectors only disabled. */
  blocked(context: CmdletContext): boolean;
  removable(context: CmdletContext, connector: Connector): void;
}

/** What a Get- shows: by identity whatever there is, else what passes; a fresh one not at once. */
function found(
  kind: Kind,
  { tenantId, store, settling }: CmdletContext,
  bound: Bound,
  passes: (connector: Connector) => boolean = () => true,
): Connector[] {
  const identity = text(bound, "Identity");
  if (identity === undefined)
    return kind
      .collection(store)
      .of(tenantId)
      .filter((one) => passes(one) && !settling.unseen(one.guid));
  const connector = required(kind, store, tenantId, identity);
  if (settling.unseen(connector.guid)) throw notFound(identity);
  return [connector];
}

function required(kind: Kind, store: ExchangeStore, tenantId: string, identity: string): Connector {
  const connector = kind.collection(store).find(tenantId, identity);
  if (!connector) throw notFound(identity);
  return connector;
}

function creating(kind: Kind, context: CmdletContext, bound: Bound): ReturnType<Cmdlet["prepare"]> {
  const { tenantId, store, now } = context;
  const name = named(kind, context, text(bound, "Name") ?? "", undefined);
  const settings = kind.normalise(merged(kind.defaults, bound));
  kind.check(settings);
  const blocked = kind.blocked(context);
  if (blocked) settings["Enabled"] = false;
  return {
    target: name,
    ...(blocked ? { warnings: [DISABLED] } : {}),
    commit: () => {
      const connector = { tenantId, guid: randomUUID(), name, settings, whenCreated: now(), whenChanged: now() };
      kind.collection(store).set(connector);
      context.settling.begin(connector.guid);
      return [shown(kind, connector)];
    },
  };
}

function changing(kind: Kind, context: CmdletContext, bound: Bound): ReturnType<Cmdlet["prepare"]> {
  const { tenantId, store, now } = context;
  const connector = required(kind, store, tenantId, text(bound, "Identity") ?? "");
  const name = named(kind, context, text(bound, "Name") ?? connector.name, connector);
  const settings = kind.normalise(merged(connector.settings, bound));
  kind.check(settings);
  const blocked = kind.blocked(context) && settings["Enabled"] === true;
  if (blocked) settings["Enabled"] = false;
  return {
    target: connector.name,
    ...(blocked ? { warnings: [DISABLED] } : {}),
    commit: () => {
      kind.collection(store).set({ ...connector, name, settings, whenChanged: now() });
      return [];
    },
  };
}

function removing(kind: Kind): Cmdlet {
  return {
    parameters: { Identity: "string" },
    mandatory: ["Identity"],
    shouldProcess: true,
    asksByDefault: true,
    prepare: (context, bound) => {
      const connector = required(kind, context.store, context.tenantId, text(bound, "Identity") ?? "");
      kind.removable(context, connector);
      return {
        target: connector.name,
        commit: () => {
          kind.collection(context.store).delete(connector);
          return [];
        },
      };
    },
  };
}

function named(kind: Kind, { tenantId, store }: CmdletContext, name: string, self: Connector | undefined): string {
  if (name.length > NAME_LIMIT)
    throw new CmdletError(
      "Microsoft.Exchange.Data.DataValidationException",
      `The length of the property is too long. The maximum length is ${NAME_LIMIT} and the length of the value provided is ${name.length}.`,
    );
  const other = kind.collection(store).find(tenantId, name);
  if (other && other.guid !== self?.guid) throw alreadyExists(kind.noun, name);
  return name;
}

function merged(settings: Record<string, unknown>, bound: Bound): Record<string, unknown> {
  const result = { ...settings };
  for (const [name, value] of bound) {
    if (name in inboundDefaults || name in outboundDefaults)
      result[name] = isMultiValue(value) ? applied(list(result[name]), value) : value;
  }
  return result;
}

const shown = (
  { container }: Kind,
  { tenantId, guid, name, settings, whenCreated, whenChanged }: Connector,
): Record<string, unknown> => ({
  Identity: name,
  Name: name,
  Guid: guid,
  DistinguishedName: distinguishedName(name, container, tenantId),
  ...settings,
  IsValid: true,
  ObjectState: "Unchanged",
  WhenCreated: whenCreated,
  WhenCreatedUTC: whenCreated,
  WhenChanged: whenChanged,
  WhenChangedUTC: whenChanged,
});

/** What an outbound connector asks of the server: encryption, a certificate of a public authority, one for its domain. */
export function tlsOf({ TlsSettings, TlsDomain }: Record<string, unknown>): {
  tls: "required" | "opportunistic";
  validate: { domain: string | undefined } | undefined;
} {
  const domain = TlsSettings === "DomainValidation" && typeof TlsDomain === "string" ? TlsDomain : undefined;
  const validated = TlsSettings === "CertificateValidation" || TlsSettings === "DomainValidation";
  return { tls: TlsSettings ? "required" : "opportunistic", validate: validated ? { domain } : undefined };
}

export const list = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
const isMultiValue = (value: unknown): value is MultiValue =>
  typeof value === "object" && value !== null && !Array.isArray(value) && ("replace" in value || "add" in value);
