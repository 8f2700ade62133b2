/** Mission B5: the rules of a tenant that stands which know the loop GUID, whatever is beside them. Pure. */
import type { DesiredOf } from "../durable/resources.ts";
import type { RuleKind } from "../exchange/rule-kinds.ts";
import type { Resources } from "../resources/index.ts";
import * as desired from "./state.ts";
import type { Ground } from "./state.ts";
import type { Target } from "./target.ts";
import type { ForwardingKind } from "./ways.ts";

export type MarkedKind = ForwardingKind | Extract<RuleKind, "approvalRule">;

export type MarkedRule = {
  [Kind in MarkedKind]: { kind: Kind; title: string; wanted: DesiredOf<Resources[Kind]> };
}[MarkedKind];

/** `live`: everybody's mail runs through the gateway, not the pilot's alone. */
export function markedRules(
  target: Target,
  ground: Pick<Ground, "regions" | "loopGuid" | "otherLoopGuid">,
  live: boolean,
): MarkedRule[] {
  const incoming = desired.incomingForwardingRule(target, ground, "pilot");
  const groups = desired.groupForwardingRule(target, ground);
  const incomingGroups = desired.incomingGroupForwardingRule(target, ground);
  const incomingDomains = live ? desired.incomingDomainForwardingRule(target, ground) : undefined;
  return [
    { kind: "approvalRule", title: "Approval rule", wanted: desired.approvalRule(target, ground) },
    { kind: "forwardingRule", title: "Forwarding rule", wanted: desired.forwardingRule(target, ground, "pilot") },
    ...one("incomingForwardingRule", "Forwarding rule of incoming mail", incoming),
    ...one("groupForwardingRule", "Forwarding rule of groups", groups),
    ...one("incomingGroupForwardingRule", "Forwarding rule of mail to groups", incomingGroups),
    ...one(
      "domainForwardingRule",
      "Forwarding rule of everybody",
      live ? desired.domainForwardingRule(target, ground) : undefined,
    ),
    ...one("incomingDomainForwardingRule", "Forwarding rule of mail to everybody", incomingDomains),
  ];
}

/** All forwarding rules are wanted in the same form. */
const one = (kind: ForwardingKind, title: string, wanted: DesiredOf<Resources["forwardingRule"]> | undefined): MarkedRule[] =>
  wanted === undefined ? [] : [{ kind, title, wanted }];
