/**
 * The certificate gets another name (mission C1). Exchange Online knows a gateway by a name of its certificate, and asks for one name of it:
 * so a second inbound connector stands beside the first, and any public authority's certificate will do, before a machine shows the new
 * one; when all are seen to, the new name alone is asked for, and the former connector is disabled, until nobody would go back to it. Two
 * walk it: the orchestrator, whose hands make true, and the plan, whose hands only look.
 */
import { otherCertificate, type GatewayCertificate } from "../../shared/desired/certificate.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { Hands, Walk } from "../../shared/runbook/runbook.ts";
import type { RotationGround } from "./orchestrator.ts";

/** What gateways show, and what Exchange Online knows them by beside that. */
export interface Named {
  target: Omit<Target, "otherCertificate">;
  ground: RotationGround;
  shown: GatewayCertificate;
  other: Pick<GatewayCertificate, "name" | "trusted" | "forClients">;
}

/** Before any machine shows the other one. */
export function* acceptBoth<Wait>(hands: Pick<Hands<Wait>, "ensure">, named: Named): Walk<Wait, void> {
  const { target, ground, beside } = told(named, "accepted");
  if (beside) yield* hands.ensure("inboundConnector", "secondConnector", beside);
  yield* hands.ensure("outboundConnector", "eitherName", desired.outboundConnector(target, ground));
}

/** All machines show theirs. */
export function* acceptOne<Wait>(hands: Pick<Hands<Wait>, "ensure">, named: Named): Walk<Wait, void> {
  const { target, ground } = told(named, "kept");
  yield* hands.ensure("outboundConnector", "onlyName", desired.outboundConnector(target, ground));
}

/** The other's connector, in the way back. */
export function* disableOther<Wait>(hands: Pick<Hands<Wait>, "ensure">, named: Named): Walk<Wait, void> {
  const { beside } = told(named, "kept");
  if (beside) yield* hands.ensure("inboundConnector", "formerConnector", beside);
}

/** Nobody goes back to it. */
export function* dropOther<Wait>(hands: Pick<Hands<Wait>, "drop">, named: Named): Walk<Wait, void> {
  const { beside } = told(named, "kept");
  if (beside) yield* hands.drop("inboundConnector", "formerConnector", beside);
}

export function told({ target, ground, shown, other }: Named, state: "accepted" | "kept") {
  const whole: Target = { ...target, otherCertificate: otherCertificate(other, state) };
  const showing = { ...ground, certificate: shown };
  return { target: whole, ground: showing, beside: desired.besideConnector(whole, showing) };
}
