/** The timers' doors: one sweep of a kind at a time, and a line in the log about each. */
import type { Which } from "../../shared/azure/fleet.ts";
import type { TimerCall } from "../../shared/triggers.ts";
import { sweepFleet, type SweepWorld } from "./sweep.ts";

/** Often: who is down, silent or has something to say. */
export const pollGateways = (world: SweepWorld) => sweeping(world, "exceptions");
/** Now and then everybody, so that a machine that is gone, and one that we may not read any more, is missed. */
export const pollFleet = (world: SweepWorld) => sweeping(world, "everything");

/** A sweep that takes longer than the schedule's interval is not overtaken: the next one begins when the timer fires again. */
function sweeping(world: SweepWorld, which: Which): (timer: TimerCall) => Promise<void> {
  let underway = false;
  return async ({ pastDue }) => {
    if (underway) return world.log.warning("the last sweep over the fleet goes on; this one is left out");
    underway = true;
    try {
      const sweep = await sweepFleet(world, which);
      world.log.information("swept the fleet", { which, ...sweep, pastDue });
    } finally {
      underway = false;
    }
  };
}
