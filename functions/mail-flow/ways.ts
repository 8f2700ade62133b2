/** Mission F5: the way round the gateway, and the way back. Two walk them: the orchestrators, whose hands make true, and the plans, whose hands only look. */
import * as desired from "../../shared/desired/state.ts";
import type { Ground } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Hands, Walk } from "../../shared/runbook/runbook.ts";

export interface AroundHands<Wait> extends Pick<Hands<Wait>, "ensure"> {
  /** Probe mails arrive without having met the gateway. */
  proveAround(): Walk<Wait, void>;
}

export interface BackHands<Wait, Proof> extends Pick<Hands<Wait>, "ensure" | "drop"> {
  /** Gateways are well and report, and so are their addresses. */
  recovered(): Walk<Wait, void>;
  /** Reads back and insists; changes nothing. */
  confirm<Kind extends keyof Resources>(kind: Kind, step: string, wanted: DesiredOf<Resources[Kind]>): Walk<Wait, unknown>;
  startTls(): Walk<Wait, void>;
  /** A probe mail comes back through the gateway. */
  prove(): Walk<Wait, Proof>;
}

/** One rule more; what Exchange Online and the gateway need for mail that is under way stays. */
export function* goAround<Wait>(hands: AroundHands<Wait>, tenant: Target, ground: Ground): Walk<Wait, void> {
  yield* hands.ensure("bypassRule", "bypassRule", desired.bypassRule(tenant, ground));
  yield* hands.proveAround();
}

/** First only the probe mailbox's mail takes the way back; when that has come through, everybody's does. */
export function* goBack<Wait, Proof>(hands: BackHands<Wait, Proof>, tenant: Target, ground: Ground): Walk<Wait, Proof> {
  yield* hands.recovered();
  yield* hands.confirm("inboundConnector", "inboundConnectorReadBack", desired.inboundConnector(tenant, ground));
  yield* hands.confirm("approvalRule", "approvalRuleReadBack", desired.approvalRule(tenant, ground));
  yield* hands.startTls();
  yield* hands.ensure("bypassRule", "probeSpared", desired.bypassRule(tenant, ground, "probe"));
  const proof = yield* hands.prove();
  yield* hands.drop("bypassRule", "bypassRule", desired.bypassRule(tenant, ground, "probe"));
  return proof;
}
