/**
 * Missions C3, C5 (manual, chapter 4.5.1): send mail to the gateway, except what has been there. Conditions of a rule all have to hold, so
 * senders, recipients and the groups of both take a rule each. None ever exists without a scope: nobody's mail moves before the loop is
 * proven.
 */
import { publicAddresses } from "../exchange/addresses.ts";
import { canonicalAddresses, canonicalList, canonicalSize, canonicalText } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import {
  acceptedWords,
  type LoopGuidPlace,
  type SealedWords,
  type SecretVaults,
  sealedWords,
  wordsOf,
} from "../exchange/loop-guid.ts";
import type { RuleKind } from "../exchange/rule-kinds.ts";
import { type RuleActual, type RuleDesired, type RuleSettings, transportRule } from "../exchange/transport-rules.ts";
import { ControlPlaneError } from "../errors.ts";
import { fingerprint } from "../vault/client.ts";
import type { Resource } from "./resource.ts";

export interface ForwardingRule extends RuleDesired, LoopGuidPlace {
  /** Name of the header that the gateway adds, such as `X-iqsuite-process`. */
  loopHeader: string;
  /** Name or GUID of our outbound connector. */
  outboundConnector: string;
  /** What comes from there has been there, whatever became of its header: it isn't sent round and round. */
  egressIps: string[];
  /** Mail that is larger goes without the gateway; undefined is no limit but Exchange Online's own. */
  largestMessageInMegabytes?: number | undefined;
  /** Whose mail goes through the gateway: mailboxes or mail-enabled groups by address, or everybody's of a domain by its name. */
  scope: { mailboxes: string[] };
}

export type ForwardingRuleActual = RuleActual<ForwardingRuleSettings>;

interface ForwardingRuleSettings extends RuleSettings {
  scope: string[];
  outboundConnector: string | null;
  exceptLoopHeader: string | null;
  loopGuid: SealedWords | null;
  exceptEgressIps: string[];
  exceptMessageType: string | null;
  exceptReports: string[];
  exceptSizeOver: number | null;
}

interface Clients {
  exchange: Exchange;
  vaults: SecretVaults;
}

interface Way {
  kind: RuleKind;
  name: string;
  /** The condition that is the rule's scope. */
  by: "From" | "FromMemberOf" | "SenderDomainIs" | "SentTo" | "SentToMemberOf" | "RecipientDomainIs";
}

/** Mail from the named mailboxes. */
export const forwardingRule = (clients: Clients) =>
  forwarding(clients, { kind: "forwardingRule", name: "Route all Mails to own Azure VM", by: "From" });

/** Mail from members of the named groups. */
export const groupForwardingRule = (clients: Clients) =>
  forwarding(clients, { kind: "groupForwardingRule", name: "Route all Mails to own Azure VM, groups", by: "FromMemberOf" });

/** Mail to the named mailboxes. */
export const incomingForwardingRule = (clients: Clients) =>
  forwarding(clients, { kind: "incomingForwardingRule", name: "Route all Mails to own Azure VM, incoming", by: "SentTo" });

/** Mail to members of the named groups. */
export const incomingGroupForwardingRule = (clients: Clients) =>
  forwarding(clients, {
    kind: "incomingGroupForwardingRule",
    name: "Route all Mails to own Azure VM, incoming, groups",
    by: "SentToMemberOf",
  });

/** Mail from everybody in the named domains: stage `live`. */
export const domainForwardingRule = (clients: Clients) =>
  forwarding(clients, { kind: "domainForwardingRule", name: "Route all Mails to own Azure VM, domains", by: "SenderDomainIs" });

/** Mail to everybody in the named domains. */
export const incomingDomainForwardingRule = (clients: Clients) =>
  forwarding(clients, {
    kind: "incomingDomainForwardingRule",
    name: "Route all Mails to own Azure VM, incoming, domains",
    by: "RecipientDomainIs",
  });

/** RFC 6522: what reports on other mail, read receipts among it. */
const REPORTS = "multipart/report";

function forwarding({ exchange, vaults }: Clients, { kind, name, by }: Way): Resource<ForwardingRule, ForwardingRuleActual> {
  // Automatic replies and reports have an empty envelope sender: coming back by address, for somebody outside, they would be refused with
  // 5.7.64. To our own mailboxes they come back as all mail does, and who writes from outside shall not choose to pass by the gateway.
  const outgoing = by === "From" || by === "FromMemberOf" || by === "SenderDomainIs";

  /** Exchange shows the connector by name or by GUID: either way in the form that is desired, if it is that connector. */
  async function connectorAsDesired(
    shown: string | null,
    { organization, outboundConnector }: ForwardingRule,
  ): Promise<string | null> {
    if (shown === null || sameText(shown, outboundConnector)) return shown === null ? null : outboundConnector;
    const [connector] = await exchange.list(organization, "Get-OutboundConnector", { Identity: outboundConnector });
    return connector && (sameText(shown, connector.Name) || sameText(shown, connector.Guid)) ? outboundConnector : shown;
  }

  return {
    ...transportRule<ForwardingRule, ForwardingRuleSettings>(exchange, {
      kind,
      name,
      own: [
        by,
        "RouteMessageOutboundConnector",
        "ExceptIfHeaderContainsMessageHeader",
        "ExceptIfHeaderContainsWords",
        "ExceptIfHeaderMatchesMessageHeader",
        "ExceptIfHeaderMatchesPatterns",
        "ExceptIfSenderIpRanges",
        "ExceptIfMessageTypeMatches",
        "ExceptIfMessageSizeOver",
      ],
      check({ scope, egressIps }) {
        publicAddresses(egressIps);
        if (scope.mailboxes.length > 0) return;
        const message = "a forwarding rule without a scope would move everybody's mail";
        throw new ControlPlaneError("ForwardingScopeMissing", message, 400, false, { target: "scope.mailboxes" });
      },
      settings: ({ loopHeader, loopGuid, otherLoopGuid, outboundConnector, egressIps, largestMessageInMegabytes, scope }) => ({
        name,
        enabled: true,
        mode: "Enforce",
        // A message on which the rule fails waits instead of slipping past the gateway.
        ruleErrorAction: "Defer",
        // Rules further down see a message once, when it has come back, and the approval rule wants nothing but what has.
        stopRuleProcessing: true,
        order: "kept",
        scope: canonicalList(scope.mailboxes),
        outboundConnector,
        exceptLoopHeader: loopHeader,
        loopGuid: acceptedWords({ loopGuid, otherLoopGuid }),
        exceptEgressIps: canonicalAddresses(egressIps),
        exceptMessageType: outgoing ? "OOF" : null,
        exceptReports: outgoing ? [`content-type: ${REPORTS}`] : [],
        exceptSizeOver: largestMessageInMegabytes === undefined ? null : largestMessageInMegabytes * 1024 ** 2,
      }),
      canonical: async (rule, desired) => ({
        scope: canonicalList(rule[by]),
        outboundConnector: await connectorAsDesired(canonicalText(rule.RouteMessageOutboundConnector), desired),
        exceptLoopHeader: canonicalText(rule.ExceptIfHeaderContainsMessageHeader),
        loopGuid: await sealedWords(vaults, rule.ExceptIfHeaderContainsWords, desired),
        exceptEgressIps: canonicalAddresses(rule.ExceptIfSenderIpRanges),
        exceptMessageType: canonicalText(rule.ExceptIfMessageTypeMatches),
        exceptReports: canonicalList(
          rule.ExceptIfHeaderMatchesPatterns.map((pattern) => patternOf(rule.ExceptIfHeaderMatchesMessageHeader ?? "", pattern)),
        ),
        exceptSizeOver: canonicalSize(rule.ExceptIfMessageSizeOver),
      }),
      async parameters(chosen, desired) {
        // Header and words are one exception, and so are header and patterns: Exchange takes them together.
        const except = chosen.exceptLoopHeader === undefined && chosen.loopGuid === undefined ? undefined : desired;
        const { exceptReports: reports, exceptMessageType: type, exceptSizeOver: size } = chosen;
        return {
          [by]: chosen.scope,
          RouteMessageOutboundConnector: chosen.outboundConnector ?? undefined,
          ExceptIfHeaderContainsMessageHeader: except?.loopHeader,
          ExceptIfHeaderContainsWords: except && (await wordsOf(vaults, except)),
          ExceptIfHeaderMatchesMessageHeader: reports && (reports.length > 0 ? "Content-Type" : null),
          ExceptIfHeaderMatchesPatterns: reports && (reports.length > 0 ? [REPORTS] : []),
          ExceptIfSenderIpRanges: chosen.exceptEgressIps,
          ExceptIfMessageTypeMatches: type === undefined ? undefined : type === null ? null : "OOF",
          ExceptIfMessageSizeOver: size === undefined ? undefined : size === null ? null : `${size / 1024 ** 2} MB`,
        };
      },
    }),
    earlier: (
      { largestMessageInMegabytes: _largest, ...desired },
      { scope, exceptEgressIps, outboundConnector, exceptSizeOver },
    ) => ({
      ensure: {
        ...desired,
        scope: { mailboxes: scope },
        egressIps: exceptEgressIps,
        outboundConnector: outboundConnector ?? desired.outboundConnector,
        ...(exceptSizeOver === null ? {} : { largestMessageInMegabytes: exceptSizeOver / 1024 ** 2 }),
      },
    }),
    secret: ["loopGuid"],
  };
}

/** What a person's rule looks for in another header may be the loop GUID. */
const patternOf = (header: string, pattern: string): string =>
  `${header}: ${sameText(header, "Content-Type") ? pattern : fingerprint(pattern, header).fingerprint}`;

const sameText = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();
