/** The organisation itself: accepted domains, organisation configuration, connection filter, and the connector's own test. */
import { type Bound, applied } from "./binder.ts";
import { ARGUMENT, CmdletError, dehydrated, notFound } from "./answers.ts";
import { type Cmdlet, type CmdletContext, distinguishedName, flag, reading, text } from "./cmdlet.ts";
import { list, tlsOf } from "./connectors.ts";
import { canonicalRange, requireFilterAddresses } from "./ranges.ts";
import type { Connector, ConnectionFilterPolicy } from "./store.ts";
import { OUTBOUND_ADDRESS, OUTBOUND_NAME } from "./addresses.ts";
import { mailDate } from "../mail/message.ts";

export const organizationCmdlets: Record<string, Cmdlet> = {
  "Get-AcceptedDomain": {
    parameters: { Identity: "string", ResultSize: "string" },
    prepare: (context, bound) =>
      reading(() => {
        const identity = text(bound, "Identity")?.toLowerCase();
        const domains = acceptedDomains(context).filter(({ Name }) => identity === undefined || Name === identity);
        if (identity !== undefined && domains.length === 0) throw notFound(identity);
        return domains;
      }),
  },
  "Get-OrganizationConfig": {
    parameters: { RetrieveEwsOperationAccessPolicy: "boolean" },
    prepare: ({ store, tenantId }, bound) =>
      reading(() => {
        const organization = store.organization(tenantId);
        const {
          dehydrated = false,
          rejectDirectSend = false,
          ewsEnabled = null,
          ewsAllowedAppIds = null,
        } = organization?.exchange ?? {};
        return [
          {
            Name: organization?.domains.find(({ initial }) => initial)?.name ?? tenantId,
            DisplayName: organization?.displayName ?? "",
            Guid: tenantId,
            IsDehydrated: dehydrated,
            RejectDirectSend: rejectDirectSend,
            EwsEnabled: ewsEnabled,
            // Shown only to who asks for it.
            EwsAllowedAppIDs: flag(bound, "RetrieveEwsOperationAccessPolicy") === true ? ewsAllowedAppIds : null,
          },
        ];
      }),
  },
  "Get-Mailbox": {
    parameters: { Identity: "string", ResultSize: "string" },
    prepare: ({ store, tenantId }, bound) =>
      reading(() => {
        const identity = text(bound, "Identity")?.toLowerCase();
        const organization = store.organization(tenantId);
        const addresses = (organization?.mailboxes ?? []).filter((one) => identity === undefined || one === identity);
        if (identity !== undefined && addresses.length === 0) throw notFound(identity);
        return addresses.map((address) => ({
          Identity: address.slice(0, address.indexOf("@")),
          Name: address.slice(0, address.indexOf("@")),
          PrimarySmtpAddress: address,
          RecipientTypeDetails: "UserMailbox",
          // What every mailbox of Exchange Online has from the start.
          RetentionPolicy: "Default MRM Policy",
          LitigationHoldEnabled: false,
          InPlaceHolds: [],
          ArchiveGuid: "00000000-0000-0000-0000-000000000000",
          AcceptMessagesOnlyFromSendersOrMembers: [],
          ...organization?.exchange?.mailboxes?.[address],
          SKUAssigned: !(organization?.exchange?.unlicensed ?? []).includes(address),
          // Exchange Online's standard ("Exchange Online limits").
          RecipientLimits: "500",
          MaxSendSize: "35 MB (36,700,160 bytes)",
        }));
      }),
  },
  "Get-LimitsEnforcementStatus": {
    parameters: {},
    prepare: ({ store, tenantId }) =>
      reading(() => {
        const { observed, threshold } = store.organization(tenantId)?.exchange?.externalRecipients ?? {
          observed: 0,
          threshold: 10_000,
        };
        const verdict = observed < threshold ? "Allow" : "Reject";
        return [{ EnforcementEnabled: true, ObservedValue: observed, Threshold: threshold, Verdict: verdict }];
      }),
  },
  "Set-OrganizationConfig": {
    parameters: { EwsEnabled: "boolean", EwsAllowedAppIDs: "string" },
    shouldProcess: true,
    prepare: ({ store, tenantId }, bound) => {
      const ids = bound.get("EwsAllowedAppIDs");
      const wrong = (typeof ids === "string" ? ids : "")
        .split(",")
        .find((id) => !/^\s*([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?\s*$/i.test(id));
      if (wrong !== undefined) throw new CmdletError(ARGUMENT, `"${wrong}" isn't an application's id (a GUID).`);
      const ewsEnabled = flag(bound, "EwsEnabled");
      return {
        target: tenantId,
        commit: () => {
          store.changeOrganization(tenantId, {
            ...(ewsEnabled === undefined ? {} : { ewsEnabled }),
            // The whole list: what isn't in it is gone.
            ...(ids === undefined ? {} : { ewsAllowedAppIds: typeof ids === "string" && ids !== "" ? ids : null }),
          });
          return [];
        },
      };
    },
  },
  "Enable-OrganizationCustomization": {
    parameters: {},
    shouldProcess: true,
    prepare: ({ store, tenantId, settling }) => ({
      target: tenantId,
      commit: () => {
        if (!store.hydrate(tenantId))
          throw new CmdletError(
            "System.InvalidOperationException",
            "This operation is not required. Organization is already enabled for customization.",
          );
        settling.begin(customizationKey(tenantId));
        return [];
      },
    }),
  },
  "Get-HostedConnectionFilterPolicy": {
    parameters: { Identity: "string" },
    prepare: (context, bound) => reading(() => [shownPolicy(policyOf(context, text(bound, "Identity")))]),
  },
  "Set-HostedConnectionFilterPolicy": {
    parameters: {
      Identity: "string",
      AdminDisplayName: "string",
      ConfigurationXmlRaw: "unmodelled",
      EnableSafeList: "boolean",
      IPAllowList: "multivalue",
      IPBlockList: "multivalue",
    },
    mandatory: ["Identity"],
    shouldProcess: true,
    prepare: (context, bound) => {
      if (
        context.store.organization(context.tenantId)?.exchange?.dehydrated ||
        context.settling.unseen(customizationKey(context.tenantId))
      )
        throw dehydrated();
      const policy = policyOf(context, text(bound, "Identity"));
      const allowed = changed("IPAllowList", policy.allowed, bound);
      const blocked = changed("IPBlockList", policy.blocked, bound);
      const safeList = flag(bound, "EnableSafeList") ?? policy.safeList;
      return {
        target: policy.name,
        commit: () => {
          context.store.setFilterPolicy({ ...policy, allowed, blocked, safeList, whenChanged: context.now() });
          return [];
        },
      };
    },
  },
  "Validate-OutboundConnector": {
    parameters: { Identity: "string", Recipients: "strings" },
    mandatory: ["Identity", "Recipients"],
    shouldProcess: true,
    prepare: (context, bound) => {
      const identity = text(bound, "Identity") ?? "";
      const connector = context.store.outboundConnectors.find(context.tenantId, identity);
      if (!connector) throw notFound(identity);
      const recipients = list(bound.get("Recipients"));
      return { target: connector.name, commit: () => validate(context, connector, recipients) };
    },
  },
};

/** The copy takes its time: until then the answer stays the same. */
const customizationKey = (tenantId: string): string => `customization/${tenantId}`;

function acceptedDomains({ tenantId, store }: CmdletContext): Record<string, unknown>[] {
  const organization = store.organization(tenantId);
  const types = organization?.exchange?.acceptedDomains ?? {};
  const verified = (organization?.domains ?? []).filter((one) => one.verified && types[one.name] !== "none");
  const standard = verified.find(({ initial }) => !initial) ?? verified[0];
  return verified.map((domain) => ({
    Identity: domain.name,
    Name: domain.name,
    DomainName: domain.name,
    DomainType: types[domain.name] ?? "Authoritative",
    Default: domain === standard,
    InitialDomain: domain.initial,
    MatchSubDomains: false,
    DistinguishedName: distinguishedName(domain.name, "Accepted Domains", tenantId),
  }));
}

function policyOf({ tenantId, store }: CmdletContext, identity: string | undefined): ConnectionFilterPolicy {
  const policy = store.filterPolicy(tenantId);
  if (identity !== undefined && ![policy.name.toLowerCase(), policy.guid].includes(identity.toLowerCase()))
    throw notFound(identity);
  return policy;
}

function changed(parameter: "IPAllowList" | "IPBlockList", values: string[], bound: Bound): string[] {
  const change = bound.get(parameter);
  if (typeof change !== "object" || change === null) return values;
  const parts = change as { replace: string[] } | { add: string[]; remove: string[] };
  requireFilterAddresses(parameter, "replace" in parts ? parts.replace : parts.add);
  return applied(values, parts, canonicalRange).map(canonicalRange);
}

const shownPolicy = ({
  tenantId,
  name,
  guid,
  allowed,
  blocked,
  safeList,
  whenCreated,
  whenChanged,
}: ConnectionFilterPolicy): Record<string, unknown> => ({
  Identity: name,
  Name: name,
  Guid: guid,
  DistinguishedName: distinguishedName(name, "Hosted Connection Filter", tenantId),
  AdminDisplayName: "",
  IsDefault: true,
  IPAllowList: allowed,
  IPBlockList: blocked,
  EnableSafeList: safeList,
  DirectoryBasedEdgeBlockMode: "Default",
  IsValid: true,
  WhenCreated: whenCreated,
  WhenChanged: whenChanged,
});

/**
 * Dials each smart host and sends it a test mail for each recipient; it does not set IsValidated. Microsoft documents what the cmdlet
 * does, not what its answer looks like: the property names here follow the admin centre's list of checks.
 */
async function validate(
  { tenantId, store, peers, now }: CmdletContext,
  connector: Connector,
  recipients: string[],
): Promise<Record<string, unknown>[]> {
  const smartHosts = list(connector.settings["SmartHosts"]);
  if (smartHosts.length === 0) throw new CmdletError(ARGUMENT, "Validation needs a connector with smart hosts.");
  if (!peers.deliverMail)
    throw new CmdletError("Microsoft.Exchange.Data.Storage.StorageTransientException", "Transport is not available.", 503);
  const organization = store.organization(tenantId);
  const domain =
    (organization?.domains.find(({ verified, initial }) => verified && !initial) ?? organization?.domains[0])?.name ?? "";
  const sender = `O365ConnectorValidation@${domain}`;
  const results: Record<string, unknown>[] = [];
  for (const host of smartHosts) {
    const mime = [
      `From: <${sender}>`,
      `To: ${recipients.map((recipient) => `<${recipient}>`).join(", ")}`,
      "Subject: Test email for connector validation",
      `Date: ${mailDate(Date.parse(now()))}`,
      `Message-ID: <${connector.guid}.${results.length}.${Date.parse(now())}@${domain}>`,
      "MIME-Version: 1.0",
      "Content-Type: text/plain; charset=us-ascii",
      "",
      "This test email was sent to validate the settings of your connector. Don't reply to it.",
      "",
    ].join("\r\n");
    const { accepted, refused, tls } = await peers.deliverMail({
      from: { name: OUTBOUND_NAME, address: OUTBOUND_ADDRESS },
      to: { host, port: 25 },
      message: { envelopeFrom: sender, recipients, mime },
      ...tlsOf(connector.settings),
    });
    const reply = refused[0]?.reply;
    const reached = accepted.length > 0 || (reply !== undefined && !/ [45]\.4\.31\d /.test(reply));
    results.push(check(`Check connectivity to '${host}'`, reached, reached ? undefined : reply, tls.used));
    results.push(check(`Send test email to '${recipients.join(",")}'`, refused.length === 0, reply, tls.used));
  }
  return results;
}

const check = (task: string, succeeded: boolean, reply: string | undefined, tlsUsed: boolean): Record<string, unknown> => ({
  TaskName: task,
  IsTaskSuccessful: succeeded,
  Status: succeeded ? "Succeeded" : "Failed",
  Detail: succeeded ? "" : (reply ?? ""),
  TlsUsed: tlsUsed,
});
