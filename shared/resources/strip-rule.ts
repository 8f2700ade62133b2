/**
 * Mission C11: takes the loop header away from mail that leaves the organisation, since whoever knows what is in it knows half of what
 * carries mail past the gateway. It stands below the forwarding and approval rules, which look for the header: above them, mail that
 * came back would be sent to the gateway once more, and would loop.
 */
import { canonicalText } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import { type RuleActual, type RuleDesired, type RuleSettings, transportRule } from "../exchange/transport-rules.ts";
import type { Resource } from "./resource.ts";

export interface StripRule extends RuleDesired {
  /** Name of the header that the gateway adds, such as `X-iqsuite-process`. */
  loopHeader: string;
}

export type StripRuleActual = RuleActual<StripRuleSettings>;

interface StripRuleSettings extends RuleSettings {
  sentToScope: string | null;
  removeHeader: string | null;
}

const NAME = "Strip loop header of own Azure VM";

export const stripRule = ({ exchange }: { exchange: Exchange }): Resource<StripRule, StripRuleActual> =>
  transportRule<StripRule, StripRuleSettings>(exchange, {
    kind: "stripRule",
    name: NAME,
    own: ["SentToScope", "RemoveHeader"],
    check: () => undefined,
    settings: ({ loopHeader }) => ({
      name: NAME,
      enabled: true,
      mode: "Enforce",
      // Where it fails, the header is seen outside, and the guard rule still believes nobody who shows it: no mail waits for that.
      ruleErrorAction: "Ignore",
      stopRuleProcessing: false,
      order: "kept",
      // Wherever the mail is from: what somebody outside sent and a mailbox passes on carries the header as well.
      sentToScope: "NotInOrganization",
      removeHeader: loopHeader,
    }),
    canonical: async (rule) => ({
      sentToScope: canonicalText(rule.SentToScope),
      removeHeader: canonicalText(rule.RemoveHeader),
    }),
    parameters: async ({ sentToScope, removeHeader }) => ({
      SentToScope: sentToScope === undefined ? undefined : "NotInOrganization",
      RemoveHeader: removeHeader ?? undefined,
    }),
  });
