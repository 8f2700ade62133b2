/**
 * Mission C5: the ways from the pilot to everybody and back. Two walk them: the orchestrators, whose hands make true, and the plan, whose
 * hands only look.
 */
import * as desired from "../../shared/desired/state.ts";
import type { Ground } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { forwardDomains, type Hands, type Walk } from "../../shared/runbook/runbook.ts";
import type { LoopProof } from "../../shared/proof/loop.ts";

export interface StageHands<Wait, Proof> extends Pick<Hands<Wait>, "ensure" | "drop"> {
  /** Gateways and their addresses are well. */
  ready(): Walk<Wait, void>;
  /** Reads back and insists; changes nothing. */
  confirm<Kind extends keyof Resources>(kind: Kind, step: string, wanted: DesiredOf<Resources[Kind]>): Walk<Wait, unknown>;
  startTls(): Walk<Wait, void>;
  /** A probe mail comes back through the gateway. */
  prove(step: LoopProof["step"]): Walk<Wait, Proof>;
}

/** Everybody's mail moves only after gateways and their addresses were seen to be well, and the loop was proven once more. */
export function* widenToEverybody<Wait, Proof>(
  hands: StageHands<Wait, Proof>,
  tenant: Target,
  ground: Ground,
): Walk<Wait, Proof> {
  yield* hands.ready();
  yield* hands.confirm("inboundConnector", "inboundConnectorReadBack", desired.inboundConnector(tenant, ground));
  yield* hands.confirm("approvalRule", "approvalRuleReadBack", desired.approvalRule(tenant, ground));
  yield* hands.startTls();
  yield* hands.prove("probeMail");
  yield* forwardDomains(hands, tenant, ground);
  return yield* hands.prove("liveProbeMail");
}

/** Only the pilot's mail runs through the gateway from here on. Both directions, whatever the spec says by now. */
export function* narrowToPilot<Wait, Proof>(hands: StageHands<Wait, Proof>, tenant: Target, ground: Ground): Walk<Wait, Proof> {
  const everybody = desired.domainForwardingRule(tenant, ground);
  yield* hands.drop("incomingDomainForwardingRule", "incomingDomainForwardingRule", everybody);
  yield* hands.drop("domainForwardingRule", "domainForwardingRule", everybody);
  return yield* hands.prove("probeMail");
}
