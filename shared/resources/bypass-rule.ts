/**
 * Mission F5: while it is there, mail goes round the gateway. It stands above the forwarding rules and gives each message the header that
 * they except, so that one write switches all of them off, however many there are, and one switches them on again as they were. What is in
 * the header comes from those very rules: neither the vault nor anything else in Azure has to answer.
 */
import { publicAddresses } from "../exchange/addresses.ts";
import { canonicalAddresses, canonicalList, canonicalText } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import type { TransportRuleObject } from "../exchange/cmdlets.ts";
import { carries, markOf } from "../exchange/ownership.ts";
import { type RuleActual, type RuleDesired, type RuleSettings, transportRule } from "../exchange/transport-rules.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Resource } from "./resource.ts";

export interface BypassRule extends RuleDesired {
  /** Name of the header that the gateway adds, such as `X-iqsuite-process`. */
  loopHeader: string;
  /** What comes from there has been at the gateway and keeps its own header. */
  egressIps: string[];
  /** Senders whose mail goes through the gateway all the same: how the way is proven before everybody takes it again. */
  spared: string[];
}

export type BypassRuleActual = RuleActual<BypassRuleSettings>;

interface BypassRuleSettings extends RuleSettings {
  setHeaderName: string | null;
  /** Whether each forwarding rule of ours excepts what this one puts into the header. */
  passesForwardingRules: boolean;
  exceptIfSenderIpRanges: string[];
  spared: string[];
}

const NAME = "Bypass own Azure VM";

/** Begins the header's value: mail that came through the gateway has the loop GUID alone. */
const MARK = "bypassed";

/** Whether a loop header is one that a bypass has put there. */
export const isBypassMark = (value: string): boolean => value.trim().startsWith(MARK);

export const bypassRule = ({ exchange }: { exchange: Exchange }): Resource<BypassRule, BypassRuleActual> => {
  const forwardingRules = async ({ owner, organization }: BypassRule): Promise<TransportRuleObject[]> =>
    (await exchange.list(organization, "Get-TransportRule", {})).filter(
      ({ Comments, RouteMessageOutboundConnector }) =>
        canonicalText(RouteMessageOutboundConnector) !== null && carries(Comments, markOf(owner)),
    );

  /** What of the header a forwarding rule looks for. */
  const wordsOf = (rule: TransportRuleObject, { loopHeader }: BypassRule): string[] =>
    rule.ExceptIfHeaderContainsMessageHeader?.toLowerCase() === loopHeader.toLowerCase() ? rule.ExceptIfHeaderContainsWords : [];

  async function headerValue(desired: BypassRule): Promise<string> {
    const rules = await forwardingRules(desired);
    const blind = rules.find((rule) => wordsOf(rule, desired).length === 0);
    if (blind)
      throw new ControlPlaneError(
        "BypassNotPossible",
        `the rule "${blind.Name}" no longer excepts what carries ${desired.loopHeader}, so its mail can't be let past; repair it, or disable it by hand`,
        409,
      );
    return [MARK, ...new Set(rules.flatMap((rule) => wordsOf(rule, desired)))].join(" ");
  }

  return transportRule<BypassRule, BypassRuleSettings>(exchange, {
    kind: "bypassRule",
    name: NAME,
    own: ["SetHeaderName", "SetHeaderValue", "ExceptIfSenderIpRanges", "ExceptIfFrom"],
    check: ({ egressIps }) => void publicAddresses(egressIps),
    settings: ({ loopHeader, egressIps, spared }) => ({
      name: NAME,
      enabled: true,
      mode: "Enforce",
      // Where it fails, a message goes to the gateway as always: it waits there at worst.
      ruleErrorAction: "Ignore",
      stopRuleProcessing: false,
      order: "kept",
      setHeaderName: loopHeader,
      passesForwardingRules: true,
      exceptIfSenderIpRanges: canonicalAddresses(egressIps),
      spared: canonicalList(spared),
    }),
    canonical: async (rule, desired) => {
      const put = (rule.SetHeaderValue ?? "").split(" ");
      const rules = await forwardingRules(desired);
      return {
        setHeaderName: canonicalText(rule.SetHeaderName),
        passesForwardingRules: put[0] === MARK && rules.every((one) => wordsOf(one, desired).some((word) => put.includes(word))),
        exceptIfSenderIpRanges: canonicalAddresses(rule.ExceptIfSenderIpRanges),
        spared: canonicalList(rule.ExceptIfFrom),
      };
    },
    async parameters({ setHeaderName, passesForwardingRules, exceptIfSenderIpRanges, spared }, desired) {
      // Name and value are one action: Exchange takes them together.
      const header = setHeaderName === undefined && passesForwardingRules === undefined ? undefined : desired.loopHeader;
      return {
        SetHeaderName: header,
        SetHeaderValue: header && (await headerValue(desired)),
        ExceptIfSenderIpRanges: exceptIfSenderIpRanges,
        ExceptIfFrom: spared,
      };
    },
  });
};
