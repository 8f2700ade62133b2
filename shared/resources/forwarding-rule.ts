/**
 * Missions C3, C5 (manual, chapter 4.5.1): sends mail of the named mailboxes to the gateway, except what has been there. It never exists
 * without a scope: nobody's mail moves before the loop is proven.
 */
import { canonicalList, canonicalText } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import { type LoopGuidPlace, type SecretVaults, sealedWords } from "../exchange/loop-guid.ts";
import { type RuleActual, type RuleDesired, type RuleSettings, transportRule } from "../exchange/transport-rules.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Sealed } from "../vault/client.ts";
import type { Resource } from "./resource.ts";

export interface ForwardingRule extends RuleDesired, LoopGuidPlace {
  /** Name of the header that the gateway adds, such as `X-iqsuite-process`. */
  loopHeader: string;
  /** Name or GUID of our outbound connector. */
  outboundConnector: string;
  /** Whose mail goes through the gateway: senders, by address. */
  scope: { mailboxes: string[] };
}

export type ForwardingRuleActual = RuleActual<ForwardingRuleSettings>;

interface ForwardingRuleSettings extends RuleSettings {
  from: string[];
  outboundConnector: string | null;
  exceptLoopHeader: string | null;
  loopGuid: Sealed | null;
  exceptMessageType: string | null;
}

const NAME = "Route all Mails to own Azure VM";

export const forwardingRule = ({
  exchange,
  vaults,
}: {
  exchange: Exchange;
  vaults: SecretVaults;
}): Resource<ForwardingRule, ForwardingRuleActual> => {
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
      kind: "forwardingRule",
      name: NAME,
      own: [
        "From",
        "RouteMessageOutboundConnector",
        "ExceptIfHeaderContainsMessageHeader",
        "ExceptIfHeaderContainsWords",
        "ExceptIfMessageTypeMatches",
      ],
      check({ scope }) {
        if (scope.mailboxes.length === 0)
          throw new ControlPlaneError(
            "ForwardingScopeMissing",
            "a forwarding rule without a scope would move everybody's mail",
            400,
            false,
            {
              target: "scope.mailboxes",
            },
          );
      },
      settings: ({ loopHeader, loopGuid, outboundConnector, scope }) => ({
        name: NAME,
        enabled: true,
        mode: "Enforce",
        // A message on which the rule fails waits instead of slipping past the gateway.
        ruleErrorAction: "Defer",
        // Rules further down see a message once, when it has come back, and the approval rule wants nothing but what has.
        stopRuleProcessing: true,
        order: "kept",
        from: canonicalList(scope.mailboxes),
        outboundConnector,
        exceptLoopHeader: loopHeader,
        loopGuid,
        // Automatic replies have an empty envelope sender: coming back by address they would be refused with 5.7.64.
        exceptMessageType: "OOF",
      }),
      canonical: async (rule, desired) => ({
        from: canonicalList(rule.From),
        outboundConnector: await connectorAsDesired(canonicalText(rule.RouteMessageOutboundConnector), desired),
        exceptLoopHeader: canonicalText(rule.ExceptIfHeaderContainsMessageHeader),
        loopGuid: await sealedWords(vaults, rule.ExceptIfHeaderContainsWords, desired),
        exceptMessageType: canonicalText(rule.ExceptIfMessageTypeMatches),
      }),
      async parameters(chosen, desired) {
        // Header and words are one exception: Exchange takes them together.
        const except = chosen.exceptLoopHeader === undefined && chosen.loopGuid === undefined ? undefined : desired;
        return {
          From: chosen.from,
          RouteMessageOutboundConnector: chosen.outboundConnector ?? undefined,
          ExceptIfHeaderContainsMessageHeader: except?.loopHeader,
          ExceptIfHeaderContainsWords: except && [await vaults.read(except.loopGuid, except.vaultTenantId)],
          ExceptIfMessageTypeMatches: chosen.exceptMessageType === undefined ? undefined : "OOF",
        };
      },
    }),
    secret: ["loopGuid"],
  };
};

const sameText = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();
