/** What the conformance suite needs to know about the resources of a customer's Exchange Online. */
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { OUTBOUND_CONNECTOR_NAME } from "../../shared/resources/outbound-connector.ts";
import type { Drift, Foreign, Stranger } from "./conformance.ts";
import { egressIps, type Json, loopHeader, owner, place, type World } from "./ground.ts";
import type { RowOf } from "./rows.ts";

interface InOrganization {
  organization: string;
}

/** What an Exchange administrator runs. */
const cmdlet =
  (name: string, parameters: Json) =>
  async (one: World, { organization }: InOrganization): Promise<unknown> =>
    (await one.exchange(organization)).run(name, parameters);

const object = async (one: World, { organization }: InOrganization, noun: string, name: string): Promise<Json | undefined> =>
  (
    await (
      await one.exchange(organization)
    )
      .list(`Get-${noun}`, noun === "TransportRule" ? {} : { Identity: name })
      .catch(() => [])
  ).find((found) => found["Name"] === name);

/** Drifts, a stranger and the count of an object of Exchange Online that has a name and a comment. */
export function exchangeObject<Desired extends InOrganization>(noun: string, name: string, making: (desired: Desired) => Json) {
  const comment = noun === "TransportRule" ? "Comments" : "Comment";
  const setting = (parameters: Json) => cmdlet(`Set-${noun}`, { Identity: name, ...parameters });
  const drift = (paths: string[], parameters: Json): Drift<Desired, unknown> => ({ paths, change: setting(parameters) });
  return {
    drift,
    stranger: {
      what: "made by hand",
      meets: "conflict",
      set: async (one, desired) =>
        cmdlet(`New-${noun}`, { Name: name, ...making(desired), [comment]: "made by hand" })(one, desired),
      read: (one, desired) => object(one, desired, noun, name),
      unset: cmdlet(`Remove-${noun}`, { Identity: name, Confirm: false }),
    } satisfies Stranger<Desired> as Stranger<Desired>,
    unowned: (what: string, parameters: Json): Foreign<Desired> => ({
      what: `a remark after our mark, ${what}`,
      async set(one, desired) {
        const { [comment]: mark } = (await object(one, desired, noun, name)) ?? {};
        await setting({ [comment]: `${String(mark)}\nasked for by Jane`, ...parameters })(one, desired);
      },
      async read(one, desired) {
        const found = (await object(one, desired, noun, name)) ?? {};
        return Object.fromEntries([comment, ...Object.keys(parameters)].map((property) => [property, found[property]]));
      },
    }),
    count: async (one: World, desired: Desired): Promise<number> =>
      (await object(one, desired, noun, name)) === undefined ? 0 : 1,
  };
}

const inbound = exchangeObject<DesiredOf<Resources["inboundConnector"]>>("InboundConnector", "FROM Azure VM to M365", () => ({
  SenderDomains: ["*"],
}));
const inboundConnector: RowOf<"inboundConnector"> = {
  prepare: async (one) => ({ owner, organization: await one.organization(), egressIps }),
  drifts: [
    inbound.drift(["enabled"], { Enabled: false }),
    inbound.drift(["senderIpAddresses"], { SenderIPAddresses: ["198.51.100.1"] }),
    inbound.drift(["senderDomains"], { SenderDomains: ["fabrikam.example"] }),
    inbound.drift(["connectorType"], { ConnectorType: "Partner" }),
    inbound.drift(["cloudServicesMailEnabled"], { CloudServicesMailEnabled: true }),
    inbound.drift(["treatMessagesAsInternal"], { TreatMessagesAsInternal: true }),
    inbound.drift(["efSkipLastIp"], { EFSkipLastIP: false }),
    inbound.drift(["name"], { Name: "Renamed" }),
  ],
  fixed: {},
  unowned: inbound.unowned("required TLS", { RequireTls: true }),
  stranger: inbound.stranger,
  count: inbound.count,
};

const outbound = exchangeObject<DesiredOf<Resources["outboundConnector"]>>("OutboundConnector", OUTBOUND_CONNECTOR_NAME, () => ({
  SmartHosts: ["elsewhere.example"],
  UseMXRecord: false,
}));
const smartHosts = ["contoso-gw.westeurope.cloudapp.azure.com"];
const outboundConnector: RowOf<"outboundConnector"> = {
  prepare: async (one) => ({ owner, organization: await one.organization(), smartHosts }),
  drifts: [
    outbound.drift(["enabled"], { Enabled: false }),
    outbound.drift(["smartHosts"], { SmartHosts: ["elsewhere.example"] }),
    outbound.drift(["smartHosts", "useMxRecord"], { SmartHosts: [], UseMXRecord: true }),
    outbound.drift(["connectorType"], { ConnectorType: "Partner" }),
    outbound.drift(["transportRuleScoped"], { IsTransportRuleScoped: false }),
    outbound.drift(["tlsSettings"], { TlsSettings: "CertificateValidation" }),
    outbound.drift(["allAcceptedDomains"], { AllAcceptedDomains: true }),
    outbound.drift(["routeAllMessagesViaOnPremises"], { RouteAllMessagesViaOnPremises: true }),
    outbound.drift(["cloudServicesMailEnabled"], { CloudServicesMailEnabled: true }),
    outbound.drift(["testMode"], { TestMode: true }),
    outbound.drift(["name"], { Name: "Renamed" }),
  ],
  fixed: {},
  unowned: outbound.unowned("MTA-STS", { MtaStsMode: "None" }),
  stranger: outbound.stranger,
  count: outbound.count,
};

const theirAddresses = ["192.0.2.10", "192.0.2.11"];
const policy = (allowed: Json) => cmdlet("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: allowed });
const hashtable = (verb: "Add" | "Remove", values: string[]): Json => ({
  "@odata.type": "#Exchange.GenericHashTable",
  [verb]: values,
});
const listed = async (one: World, { organization }: InOrganization): Promise<string[]> => {
  const caller = await one.exchange(organization);
  const [found] = await caller.list("Get-HostedConnectionFilterPolicy", { Identity: "Default" });
  return (found?.["IPAllowList"] as string[] | undefined) ?? [];
};
const theirs: Foreign<DesiredOf<Resources["connectionFilter"]>> = {
  what: "the customer's own entries",
  set: policy(hashtable("Add", theirAddresses)),
  read: async (one, desired) => (await listed(one, desired)).filter((address) => theirAddresses.includes(address)),
};

const connectionFilter: RowOf<"connectionFilter"> = {
  prepare: async (one) => ({ owner, organization: await one.organization(), egressIps }),
  drifts: [{ paths: ["allowed"], change: policy(hashtable("Remove", [egressIps[0] ?? ""])) }],
  fixed: {},
  unowned: theirs,
  stranger: {
    ...theirs,
    meets: { beside: "the one list is everybody's, and only our addresses on it are ours" },
    unset: policy(hashtable("Remove", theirAddresses)),
  },
  count: async (one, desired) => {
    const allowed = await listed(one, desired);
    return desired.egressIps.some((address) => allowed.includes(address)) ? 1 : 0;
  },
};

/** What somebody may add to any rule; the others that there are, exchange-drift.test.ts adds by chance. */
const additions: Json[] = [{ ExceptIfSubjectContainsWords: ["invoice"] }, { ExpiryDate: "2027-01-01T00:00:00.0000000Z" }];
const additionsTo = <Desired extends InOrganization>(
  drift: (paths: string[], parameters: Json) => Drift<Desired, unknown>,
  ...more: Json[]
): Drift<Desired, unknown>[] => [...additions, ...more].map((parameters) => drift(["addedByOthers"], parameters));

const guarding = exchangeObject<DesiredOf<Resources["guardRule"]>>("TransportRule", "Guard loop header of own Azure VM", () => ({
  RemoveHeader: loopHeader,
}));
/** Another of our rules, so that there is an order to keep. */
const rankedDrift = <Desired extends InOrganization>(name: string, priority: number): Drift<Desired, unknown> => ({
  paths: ["order"],
  change: cmdlet("Set-TransportRule", { Identity: name, Priority: priority }),
});

const approvalName = "Approve all Mails from own SMTP Server on Azure VM";
const guardRule: RowOf<"guardRule"> = {
  async prepare(one) {
    const organization = await one.organization();
    const { loopGuid } = await one.ground();
    await one.ensure("approvalRule", {
      owner,
      organization,
      loopHeader,
      loopGuid,
      vaultTenantId: place.entraTenantId,
      egressIps,
    });
    return { owner, organization, loopHeader, egressIps };
  },
  drifts: [
    guarding.drift(["exceptIfSenderIpRanges"], { ExceptIfSenderIpRanges: ["198.51.100.1"] }),
    guarding.drift(["removeHeader"], { RemoveHeader: "X-Another" }),
    guarding.drift(["stopRuleProcessing"], { StopRuleProcessing: true }),
    guarding.drift(["ruleErrorAction"], { RuleErrorAction: "Ignore" }),
    guarding.drift(["mode"], { Mode: "Audit" }),
    guarding.drift(["name"], { Name: "Renamed" }),
    ...additionsTo(guarding.drift, { DeleteMessage: true }),
    { paths: ["enabled"], change: cmdlet("Disable-TransportRule", { Identity: "Guard loop header of own Azure VM" }) },
    rankedDrift("Guard loop header of own Azure VM", 1),
  ],
  fixed: {},
  unowned: guarding.unowned("where the sender is looked for", { SenderAddressLocation: "Envelope" }),
  stranger: guarding.stranger,
  count: guarding.count,
};

const approving = exchangeObject<DesiredOf<Resources["approvalRule"]>>("TransportRule", approvalName, () => ({ SetSCL: "-1" }));
const approvalRule: RowOf<"approvalRule"> = {
  async prepare(one) {
    const organization = await one.organization();
    const { loopGuid } = await one.ground();
    await one.ensure("guardRule", { owner, organization, loopHeader, egressIps });
    return { owner, organization, loopHeader, loopGuid, vaultTenantId: place.entraTenantId, egressIps };
  },
  drifts: [
    approving.drift(["loopGuid"], { HeaderContainsWords: ["yesterdays-guid"] }),
    approving.drift(["loopHeader"], { HeaderContainsMessageHeader: "X-Another" }),
    approving.drift(["fromScope"], { FromScope: null }),
    approving.drift(["senderIpRanges"], { SenderIpRanges: ["198.51.100.1"] }),
    approving.drift(["setScl"], { SetSCL: "0" }),
    approving.drift(["stopRuleProcessing"], { StopRuleProcessing: true }),
    approving.drift(["ruleErrorAction"], { RuleErrorAction: "Defer" }),
    approving.drift(["mode"], { Mode: "Audit" }),
    approving.drift(["name"], { Name: "Renamed" }),
    ...additionsTo(approving.drift),
    { paths: ["enabled"], change: cmdlet("Disable-TransportRule", { Identity: approvalName }) },
    rankedDrift(approvalName, 0),
  ],
  fixed: {},
  unowned: approving.unowned("where the sender is looked for", { SenderAddressLocation: "Envelope" }),
  stranger: approving.stranger,
  count: approving.count,
};

const bypassName = "Bypass own Azure VM";
const bypassing = exchangeObject<DesiredOf<Resources["bypassRule"]>>("TransportRule", bypassName, () => ({
  SetHeaderName: loopHeader,
  SetHeaderValue: "by hand",
}));
const bypassRule: RowOf<"bypassRule"> = {
  async prepare(one) {
    const organization = await one.organization();
    const { loopGuid } = await one.ground();
    const [probe = ""] = one.clouds.platform.organizations.get(organization)?.mailboxes ?? [];
    const loop = { loopHeader, loopGuid, vaultTenantId: place.entraTenantId, egressIps };
    await one.ensure("guardRule", { owner, organization, loopHeader, egressIps });
    await one.ensure("outboundConnector", { owner, organization, smartHosts });
    await one.ensure("forwardingRule", {
      ...loop,
      owner,
      organization,
      outboundConnector: OUTBOUND_CONNECTOR_NAME,
      scope: { mailboxes: [probe] },
    });
    return { owner, organization, loopHeader, egressIps, spared: [] };
  },
  drifts: [
    bypassing.drift(["setHeaderName"], { SetHeaderName: "X-Another" }),
    bypassing.drift(["passesForwardingRules"], { SetHeaderValue: "bypassed yesterdays-guid" }),
    bypassing.drift(["exceptIfSenderIpRanges"], { ExceptIfSenderIpRanges: ["198.51.100.1"] }),
    bypassing.drift(["spared"], { ExceptIfFrom: ["somebody@contoso.example"] }),
    bypassing.drift(["stopRuleProcessing"], { StopRuleProcessing: true }),
    bypassing.drift(["ruleErrorAction"], { RuleErrorAction: "Defer" }),
    bypassing.drift(["mode"], { Mode: "Audit" }),
    bypassing.drift(["name"], { Name: "Renamed" }),
    ...additionsTo(bypassing.drift),
    { paths: ["enabled"], change: cmdlet("Disable-TransportRule", { Identity: bypassName }) },
    rankedDrift(bypassName, 0),
  ],
  fixed: {},
  unowned: bypassing.unowned("where the sender is looked for", { SenderAddressLocation: "Envelope" }),
  stranger: bypassing.stranger,
  count: bypassing.count,
};

const stripName = "Strip loop header of own Azure VM";
const stripping = exchangeObject<DesiredOf<Resources["stripRule"]>>("TransportRule", stripName, () => ({
  RemoveHeader: loopHeader,
}));
const stripRule: RowOf<"stripRule"> = {
  async prepare(one) {
    const organization = await one.organization();
    await one.ensure("guardRule", { owner, organization, loopHeader, egressIps });
    return { owner, organization, loopHeader };
  },
  drifts: [
    stripping.drift(["removeHeader"], { RemoveHeader: "X-Another" }),
    stripping.drift(["sentToScope"], { SentToScope: "InOrganization" }),
    stripping.drift(["stopRuleProcessing"], { StopRuleProcessing: true }),
    stripping.drift(["ruleErrorAction"], { RuleErrorAction: "Defer" }),
    stripping.drift(["mode"], { Mode: "Audit" }),
    stripping.drift(["name"], { Name: "Renamed" }),
    ...additionsTo(stripping.drift),
    { paths: ["enabled"], change: cmdlet("Disable-TransportRule", { Identity: stripName }) },
    rankedDrift(stripName, 0),
  ],
  fixed: {},
  unowned: stripping.unowned("where the sender is looked for", { SenderAddressLocation: "Envelope" }),
  stranger: stripping.stranger,
  count: stripping.count,
};

type Forwarding = DesiredOf<Resources["forwardingRule"]>;

/** A rule that forwards, by its scope: of mailboxes, of groups, or of whole domains. */
function forwardingRow(name: string, by: string, kind: "mailboxes" | "groups" | "domains"): RowOf<"forwardingRule"> {
  const forwarding = exchangeObject<Forwarding>("TransportRule", name, () => ({
    RouteMessageOutboundConnector: OUTBOUND_CONNECTOR_NAME,
  }));
  const outgoing = by.startsWith("From") || by.startsWith("Sender");
  const scopeOf = (mailbox: string, group: string): string => {
    const domain = mailbox.split("@")[1] ?? "";
    if (kind === "domains") return group === "pilots" ? domain : `${group}.${domain}`;
    return kind === "groups" ? `${group}@${domain}` : mailbox;
  };
  return {
    async prepare(one) {
      const organization = await one.organization();
      const { loopGuid } = await one.ground();
      await one.ensure("outboundConnector", { owner, organization, smartHosts });
      await one.ensure("guardRule", { owner, organization, loopHeader, egressIps });
      const caller = await one.exchange(organization);
      await caller.run("New-OutboundConnector", {
        Name: "Elsewhere",
        ConnectorType: "OnPremises",
        SmartHosts: ["elsewhere.example"],
        UseMXRecord: false,
        IsTransportRuleScoped: true,
      });
      const [probe = ""] = one.clouds.platform.organizations.get(organization)?.mailboxes ?? [];
      if (kind === "groups") for (const Name of ["Pilots", "Others"]) await caller.run("New-DistributionGroup", { Name });
      return {
        owner,
        organization,
        loopHeader,
        loopGuid,
        vaultTenantId: place.entraTenantId,
        outboundConnector: OUTBOUND_CONNECTOR_NAME,
        egressIps,
        largestMessageInMegabytes: 35,
        scope: { mailboxes: [scopeOf(probe, "pilots")] },
      };
    },
    drifts: [
      {
        paths: ["scope"],
        change: (one, desired) => {
          const sales = one.clouds.platform.organizations.get(desired.organization)?.mailboxes.at(1) ?? "";
          return cmdlet("Set-TransportRule", { Identity: name, [by]: [scopeOf(sales, "others")] })(one, desired);
        },
      },
      ...additionsTo(forwarding.drift, { SubjectContainsWords: ["confidential"] }),
      forwarding.drift(["outboundConnector"], { RouteMessageOutboundConnector: "Elsewhere" }),
      forwarding.drift(["loopGuid"], { ExceptIfHeaderContainsWords: ["yesterdays-guid"] }),
      forwarding.drift(["exceptLoopHeader"], { ExceptIfHeaderContainsMessageHeader: "X-Another" }),
      forwarding.drift(["exceptEgressIps"], { ExceptIfSenderIpRanges: ["198.51.100.1"] }),
      forwarding.drift(["exceptMessageType"], { ExceptIfMessageTypeMatches: outgoing ? null : "OOF" }),
      forwarding.drift(["exceptReports"], {
        ExceptIfHeaderMatchesMessageHeader: "Subject",
        ExceptIfHeaderMatchesPatterns: ["^urgent"],
      }),
      forwarding.drift(["exceptSizeOver"], { ExceptIfMessageSizeOver: "10 MB" }),
      forwarding.drift(["stopRuleProcessing"], { StopRuleProcessing: false }),
      forwarding.drift(["ruleErrorAction"], { RuleErrorAction: "Ignore" }),
      forwarding.drift(["mode"], { Mode: "Audit" }),
      forwarding.drift(["name"], { Name: "Renamed" }),
      { paths: ["enabled"], change: cmdlet("Disable-TransportRule", { Identity: name }) },
      rankedDrift(name, 0),
    ],
    fixed: {},
    unowned: forwarding.unowned("where the sender is looked for", { SenderAddressLocation: "Envelope" }),
    stranger: forwarding.stranger,
    count: forwarding.count,
  };
}

const everybodys = "Route all Mails to own Azure VM";
const forwardingRule = forwardingRow(everybodys, "From", "mailboxes");
/** What they have in common drifts once, in the row above. */
const itsOwn = ["scope", "exceptMessageType", "exceptReports"];
function likeForwarding(...[name, by, kind]: Parameters<typeof forwardingRow>): RowOf<"forwardingRule"> {
  const row = forwardingRow(name, by, kind);
  const drifts = "notApplicable" in row.drifts ? [] : row.drifts;
  const [own, others] = [true, false].map((wanted) =>
    drifts.filter(({ paths }) => paths.every((path) => itsOwn.includes(path)) === wanted),
  );
  const fixed = (others ?? []).flatMap(({ paths }) => paths.map((path) => [path, "by the same code as forwardingRule's"]));
  return { ...row, drifts: own ?? [], fixed: Object.fromEntries(fixed) };
}
const groupForwardingRule = likeForwarding(`${everybodys}, groups`, "FromMemberOf", "groups");
const incomingForwardingRule = likeForwarding(`${everybodys}, incoming`, "SentTo", "mailboxes");
const incomingGroupForwardingRule = likeForwarding(`${everybodys}, incoming, groups`, "SentToMemberOf", "groups");

const domainForwardingRule = likeForwarding(`${everybodys}, domains`, "SenderDomainIs", "domains");
const incomingDomainForwardingRule = likeForwarding(`${everybodys}, incoming, domains`, "RecipientDomainIs", "domains");

export const microsoft365Rows = {
  inboundConnector,
  outboundConnector,
  connectionFilter,
  guardRule,
  bypassRule,
  approvalRule,
  forwardingRule,
  groupForwardingRule,
  incomingForwardingRule,
  incomingGroupForwardingRule,
  domainForwardingRule,
  incomingDomainForwardingRule,
  stripRule,
};
