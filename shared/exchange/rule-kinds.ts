/** The kinds of our transport rules, in their order. */

/** Rules that send mail to the gateway, from top to bottom. */
export const forwardingKinds = [
  "forwardingRule",
  "groupForwardingRule",
  "incomingForwardingRule",
  "incomingGroupForwardingRule",
  "domainForwardingRule",
  "incomingDomainForwardingRule",
] as const;

/**
 * From top to bottom: the guard takes forged headers away before the forwarding rule looks for them; the bypass rule, while there is one,
 * puts on what the forwarding rules except; the approval rule sees what came back; the strip rule takes the header away when none of ours
 * looks for it any more. Only this relative order is ours; other people's rules keep theirs.
 */
export const ruleKinds = ["guardRule", "bypassRule", ...forwardingKinds, "approvalRule", "stripRule"] as const;
export type RuleKind = (typeof ruleKinds)[number];
