/** The timer's door: one sweep at a time, and a line in the log about each. */
import type { TimerCall } from "../../shared/triggers.ts";
import { sweepFleet, type SweepWorld } from "./sweep.ts";

/** A sweep that takes longer than the schedule's interval is not overtaken: the next one begins when the timer fires again. */
export function pollGateways(world: SweepWorld): (timer: TimerCall) => Promise<void> {
  let underway = false;
  return async ({ pastDue }) => {
    if (underway) return world.log.warning("the last sweep over the fleet goes on; this one is left out");
    underway = true;
    try {
      const sweep = await sweepFleet(world);
      world.log.information("swept the fleet", { ...sweep, pastDue });
    } finally {
      underway = false;
    }
  };
}
