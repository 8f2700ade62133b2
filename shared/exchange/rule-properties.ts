/**
 * Everything that a transport rule can be told to look for and to do, by its names in Get- and Set-TransportRule: on a rule of ours,
 * what isn't ours was put there by somebody, and changes whom the rule concerns or what becomes of a message.
 *
 * Source: Set-TransportRule in Microsoft's cmdlet reference. Left out are parts that mean nothing by themselves (`ADComparisonOperator`,
 * `ApplyHtmlDisclaimerLocation` and their like) and what changes neither: `SenderAddressLocation`, `SetAuditSeverity`, `RuleSubType`.
 */
import { isDeepStrictEqual } from "node:util";
import type { TransportRuleObject } from "./cmdlets.ts";

const conditions = [
  "ADComparisonAttribute",
  "AnyOfCcHeader",
  "AnyOfCcHeaderMemberOf",
  "AnyOfRecipientAddressContainsWords",
  "AnyOfRecipientAddressMatchesPatterns",
  "AnyOfToCcHeader",
  "AnyOfToCcHeaderMemberOf",
  "AnyOfToHeader",
  "AnyOfToHeaderMemberOf",
  "AttachmentContainsWords",
  "AttachmentExtensionMatchesWords",
  "AttachmentHasExecutableContent",
  "AttachmentIsPasswordProtected",
  "AttachmentIsUnsupported",
  "AttachmentMatchesPatterns",
  "AttachmentNameMatchesPatterns",
  "AttachmentProcessingLimitExceeded",
  "AttachmentPropertyContainsWords",
  "AttachmentSizeOver",
  "BetweenMemberOf1",
  "BetweenMemberOf2",
  "ContentCharacterSetContainsWords",
  "From",
  "FromAddressContainsWords",
  "FromAddressMatchesPatterns",
  "FromMemberOf",
  "FromScope",
  "HasClassification",
  "HasNoClassification",
  "HasSenderOverride",
  "HeaderContainsMessageHeader",
  "HeaderContainsWords",
  "HeaderMatchesMessageHeader",
  "HeaderMatchesPatterns",
  "ManagerAddresses",
  "ManagerForEvaluatedUser",
  "MessageContainsDataClassifications",
  "MessageSizeOver",
  "MessageTypeMatches",
  "RecipientADAttributeContainsWords",
  "RecipientADAttributeMatchesPatterns",
  "RecipientAddressContainsWords",
  "RecipientAddressMatchesPatterns",
  "RecipientDomainIs",
  "RecipientInSenderList",
  "SCLOver",
  "SenderADAttributeContainsWords",
  "SenderADAttributeMatchesPatterns",
  "SenderDomainIs",
  "SenderInRecipientList",
  "SenderIpRanges",
  "SenderManagementRelationship",
  "SentTo",
  "SentToMemberOf",
  "SentToScope",
  "SubjectContainsWords",
  "SubjectMatchesPatterns",
  "SubjectOrBodyContainsWords",
  "SubjectOrBodyMatchesPatterns",
  "WithImportance",
] as const;

const actions = [
  "AddManagerAsRecipientType",
  "AddToRecipients",
  "ApplyClassification",
  "ApplyHtmlDisclaimerText",
  "ApplyOME",
  "ApplyRightsProtectionTemplate",
  "BlindCopyTo",
  "CopyTo",
  "DeleteMessage",
  "Disconnect",
  "GenerateIncidentReport",
  "GenerateNotification",
  "LogEventText",
  "ModerateMessageByManager",
  "ModerateMessageByUser",
  "PrependSubject",
  "Quarantine",
  "RedirectMessageTo",
  "RejectMessageEnhancedStatusCode",
  "RejectMessageReasonText",
  "RemoveHeader",
  "RemoveOME",
  "RemoveOMEv2",
  "RemoveRMSAttachmentEncryption",
  "RouteMessageOutboundConnector",
  "RouteMessageOutboundRequireTls",
  "SetHeaderName",
  "SetHeaderValue",
  "SetSCL",
  "SmtpRejectMessageRejectStatusCode",
  "SmtpRejectMessageRejectText",
] as const;

/** When the rule works at all. */
const times = ["ActivationDate", "ExpiryDate"] as const;

type Condition = (typeof conditions)[number];
/** What can be said of the mail that a rule concerns. */
export const ruleConditions: readonly Condition[] = conditions;
export type RuleProperty = Condition | `ExceptIf${Condition}` | (typeof actions)[number] | (typeof times)[number];

export const ruleProperties: readonly RuleProperty[] = [
  ...conditions,
  ...conditions.map((name) => `ExceptIf${name}` as const),
  ...actions,
  ...times,
];

/** Words of headers may be the loop GUID: they are said to be there, and not shown. */
const hidden = (name: RuleProperty): boolean => /HeaderContainsWords|HeaderMatchesPatterns|SetHeaderValue/.test(name);
const HIDDEN = "(not shown)";

/** What is set on a rule beside what is its own: by name, with its value. */
export function addedTo(rule: TransportRuleObject, own: readonly RuleProperty[]): Record<string, unknown> {
  const shown: Record<string, unknown> = rule;
  return Object.fromEntries(
    ruleProperties.flatMap((name) => {
      const value = shown[name];
      if (own.includes(name) || !isSet(value)) return [];
      return [[name, hidden(name) ? (Array.isArray(value) ? [HIDDEN] : HIDDEN) : value]];
    }),
  );
}

/** Exchange shows what was never set as null, as an empty list or text, or as switched off. */
const isSet = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== "" && value !== false && !(Array.isArray(value) && value.length === 0);

/**
 * The parameters that take it away again, but for what a person's rule had when it was taken over: a switch is switched off, a list
 * emptied, anything else cleared.
 */
export const withoutAdditions = (added: Record<string, unknown>, wanted: Record<string, unknown>): Record<string, unknown> => ({
  ...Object.fromEntries(
    Object.entries(added)
      .filter(([name]) => !Object.hasOwn(wanted, name))
      .map(([name, value]) => [name, typeof value === "boolean" ? false : Array.isArray(value) ? [] : null]),
  ),
  ...Object.fromEntries(
    Object.entries(wanted).filter(([name, value]) => !hidden(name as RuleProperty) && !isDeepStrictEqual(added[name], value)),
  ),
});
