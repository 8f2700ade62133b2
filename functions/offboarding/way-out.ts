/**
 * The way out in the only order that loses no mail. Two walk it: the orchestrator, whose hands take away, and the plan, whose hands only look.
 */
import { regionSuffix } from "../../shared/desired/machines.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { Walk } from "../../shared/runbook/runbook.ts";
import { connectionRemovals, type Footprint, forwardingRemovals, type Removal } from "../../shared/desired/removals.ts";

export interface LeavingHands<Wait> {
  drop(removal: Removal): Walk<Wait, void>;
  /** The border that decides: before it nothing that mail needs is touched. */
  proveEmpty(): Walk<Wait, void>;
  /** A zone that no longer lets us write keeps nobody from leaving: the result says what is to be taken out by hand. */
  withdraw(step: string, record: DesiredOf<Resources["spfRecord"]>): Walk<Wait, void>;
  stopWatching(): Walk<Wait, void>;
  /** With all that is in it, unless something in it is somebody else's. */
  dropGroup(step: string, group: DesiredOf<Resources["resourceGroup"]>): Walk<Wait, void>;
}

export function* wayOut<Wait>(hands: LeavingHands<Wait>, target: Target, ground: Footprint): Walk<Wait, void> {
  for (const each of forwardingRemovals(target, ground)) yield* hands.drop(each);
  yield* hands.proveEmpty();
  for (const each of connectionRemovals(target, ground)) yield* hands.drop(each);
  for (const [index, record] of desired.spfRecords(target, ground, "go").entries())
    yield* hands.withdraw(`spfRecord-${index + 1}`, record);
  yield* hands.stopWatching();
  for (const [index, region] of target.names.regions.entries())
    yield* hands.dropGroup(`resourceGroup${regionSuffix(index)}`, desired.resourceGroup(target, region));
}
