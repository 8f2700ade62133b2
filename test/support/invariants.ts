/**
 * The safety invariants, checked over what the simulated clouds recorded: from the outside, knowing nothing of our code. Numbers are those
 * of the design's chapter on onboarding. What counts is what took effect, whether or not its answer arrived.
 */
import type { Exchange } from "../../infra/local/clouds/record.ts";
import { writesBeforeConsent } from "./invariants/consent.ts";
import { unguardedNetwork } from "./invariants/guarded-network.ts";
import { moreThanOneGuid } from "./invariants/loop-guid.ts";
import { effectsTwice } from "./invariants/once.ts";
import { unscopedConnector } from "./invariants/outbound-scope.ts";
import { promotedUnwell } from "./invariants/promotion.ts";
import type { Violation, Watched } from "./invariants/record.ts";
import { removedTooEarly } from "./invariants/removal.ts";
import { credentialsOverlap } from "./invariants/rotation.ts";
import { scopeBeforeProof } from "./invariants/scope-before-proof.ts";

export { type Violation, type Watched, watchedOf } from "./invariants/record.ts";

/** The record is of everybody, from the beginning. */
export const violations = (record: Exchange[], watched: Watched): Violation[] => [
  ...scopeBeforeProof(record, watched),
  ...moreThanOneGuid(record, watched),
  ...unscopedConnector(record, watched),
  ...unguardedNetwork(record),
  ...promotedUnwell(record, watched),
  ...removedTooEarly(record, watched),
  ...writesBeforeConsent(record, watched),
  ...effectsTwice(record),
  ...credentialsOverlap(record),
];

/** Without those that somebody else brought about, by hand at the control door: not ours to answer for. */
export function ownViolations(record: Exchange[], watched: Watched): Violation[] {
  const strangers = new Set(record.filter(byHand).map(({ seq }) => seq));
  return violations(record, watched).filter(({ seq }) => !strangers.has(seq));
}

const byHand = ({ requestBody }: Exchange): boolean =>
  typeof requestBody === "object" && requestBody !== null && "byHand" in requestBody;
