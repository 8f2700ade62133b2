/**
 * Missions C3, C11: takes the loop header away from mail that doesn't come from our gateway. A rule's exceptions are OR-ed, so the forwarding
 * rule can't except "header and address"; this rule above it makes the header alone trustworthy.
 */
import { publicAddresses } from "../exchange/addresses.ts";
import { canonicalAddresses, canonicalText } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import { type RuleActual, type RuleDesired, type RuleSettings, transportRule } from "../exchange/transport-rules.ts";
import type { Resource } from "./resource.ts";

export interface GuardRule extends RuleDesired {
  /** Name of the header that the gateway adds, such as `X-iqsuite-process`. */
  loopHeader: string;
  /** Before they change, old and new ones together: a missing one makes mail loop. */
  egressIps: string[];
}

export type GuardRuleActual = RuleActual<GuardRuleSettings>;

interface GuardRuleSettings extends RuleSettings {
  removeHeader: string | null;
  exceptIfSenderIpRanges: string[];
}

const NAME = "Guard loop header of own Azure VM";

export const guardRule = ({ exchange }: { exchange: Exchange }): Resource<GuardRule, GuardRuleActual> => ({
  ...transportRule<GuardRule, GuardRuleSettings>(exchange, {
    kind: "guardRule",
    name: NAME,
    own: ["RemoveHeader", "ExceptIfSenderIpRanges"],
    check: ({ egressIps }) => void publicAddresses(egressIps),
    settings: ({ loopHeader, egressIps }) => ({
      name: NAME,
      enabled: true,
      mode: "Enforce",
      // Without the guard a forged header would carry mail past the gateway: better it waits.
      ruleErrorAction: "Defer",
      stopRuleProcessing: false,
      order: "kept",
      removeHeader: loopHeader,
      exceptIfSenderIpRanges: canonicalAddresses(egressIps),
    }),
    // No condition: it looks at every message, and takes away nothing where the header isn't.
    canonical: async (rule) => ({
      removeHeader: canonicalText(rule.RemoveHeader),
      exceptIfSenderIpRanges: canonicalAddresses(rule.ExceptIfSenderIpRanges),
    }),
    parameters: async ({ removeHeader, exceptIfSenderIpRanges }) => ({
      RemoveHeader: removeHeader ?? undefined,
      ExceptIfSenderIpRanges: exceptIfSenderIpRanges,
    }),
  }),
  earlier: (desired, { exceptIfSenderIpRanges: egressIps }) => ({ ensure: { ...desired, egressIps } }),
});
