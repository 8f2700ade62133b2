/**
 * Mission C4 (manual, chapter 4.5.2): what comes back from our gateway, carries our header and was sent from inside isn't judged as spam again.
 * Mail from outside keeps its spam filtering: the inbound connector's enhanced filtering judges the server before the gateway.
 */
import { publicAddresses } from "../exchange/addresses.ts";
import { canonicalAddresses, canonicalLevel, canonicalText } from "../exchange/canonical.ts";
import type { Exchange } from "../exchange/client.ts";
import {
  acceptedWords,
  type LoopGuidPlace,
  type SealedWords,
  type SecretVaults,
  sealedWords,
  wordsOf,
} from "../exchange/loop-guid.ts";
import { type RuleActual, type RuleDesired, type RuleSettings, transportRule } from "../exchange/transport-rules.ts";
import type { Resource } from "./resource.ts";

export interface ApprovalRule extends RuleDesired, LoopGuidPlace {
  /** Name of the header that the gateway adds, such as `X-iqsuite-process`. */
  loopHeader: string;
  egressIps: string[];
}

export type ApprovalRuleActual = RuleActual<ApprovalRuleSettings>;

interface ApprovalRuleSettings extends RuleSettings {
  fromScope: string | null;
  senderIpRanges: string[];
  loopHeader: string | null;
  loopGuid: SealedWords | null;
  setScl: string | null;
}

const NAME = "Approve all Mails from own SMTP Server on Azure VM";

export const approvalRule = ({
  exchange,
  vaults,
}: {
  exchange: Exchange;
  vaults: SecretVaults;
}): Resource<ApprovalRule, ApprovalRuleActual> => ({
  ...transportRule<ApprovalRule, ApprovalRuleSettings>(exchange, {
    kind: "approvalRule",
    name: NAME,
    own: ["FromScope", "SenderIpRanges", "HeaderContainsMessageHeader", "HeaderContainsWords", "SetSCL"],
    check: ({ egressIps }) => void publicAddresses(egressIps),
    settings: ({ loopHeader, loopGuid, otherLoopGuid, egressIps }) => ({
      name: NAME,
      enabled: true,
      mode: "Enforce",
      // Where it fails, mail is filtered once more: no harm, so nothing waits.
      ruleErrorAction: "Ignore",
      stopRuleProcessing: false,
      order: "kept",
      fromScope: "InOrganization",
      senderIpRanges: canonicalAddresses(egressIps),
      loopHeader: loopHeader,
      loopGuid: acceptedWords({ loopGuid, otherLoopGuid }),
      setScl: "-1",
    }),
    canonical: async (rule, desired) => ({
      fromScope: canonicalText(rule.FromScope),
      senderIpRanges: canonicalAddresses(rule.SenderIpRanges),
      loopHeader: canonicalText(rule.HeaderContainsMessageHeader),
      loopGuid: await sealedWords(vaults, rule.HeaderContainsWords, desired),
      setScl: canonicalLevel(rule.SetSCL),
    }),
    async parameters({ fromScope, senderIpRanges, loopHeader, loopGuid, setScl }, desired) {
      // Header and words are one condition: Exchange takes them together.
      const header = loopHeader === undefined && loopGuid === undefined ? undefined : desired;
      return {
        FromScope: fromScope == null ? fromScope : "InOrganization",
        SenderIpRanges: senderIpRanges,
        HeaderContainsMessageHeader: header?.loopHeader,
        HeaderContainsWords: header && (await wordsOf(vaults, header)),
        SetSCL: setScl ?? undefined,
      };
    },
  }),
  earlier: (desired, { senderIpRanges: egressIps }) => ({ ensure: { ...desired, egressIps } }),
  secret: ["loopGuid"],
});
