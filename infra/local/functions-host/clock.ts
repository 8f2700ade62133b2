/** The clocks a host runs on: the machine's, and a virtual one that jumps to the next timer as soon as nothing runs. */

import { setTimeout as wait } from "node:timers/promises";
import type { Clock } from "../../../shared/clock.ts";

export interface Timer {
  cancel(): void;
}

export interface HostClock extends Clock {
  /** Calls `run` once, when `now()` has reached `at` (milliseconds since 1970), never before. */
  setTimer(at: number, run: () => void): Timer;
  /** Says that something runs which may still set timers; virtual time stands still until every `release` was called. */
  hold(): () => void;
}

export interface VirtualClock extends HostClock {
  /** Waits in virtual time, for activities whose duration matters; time may jump meanwhile although the activity is running. */
  sleep(milliseconds: number): Promise<void>;
  /** Resolves when nothing runs and no timer is set: nothing can happen any more. */
  whenNothingIsLeft(): Promise<void>;
}

/** Longer delays make Node's setTimeout fire at once. */
const LONGEST_DELAY = 2 ** 31 - 1;

export const createSystemClock = (): HostClock => ({
  now: () => Date.now(),
  setTimer(at, run) {
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      // setTimeout may fire a millisecond before Date.now() gets there, so it is asked again and not believed.
      handle = setTimeout(() => (Date.now() < at ? arm() : run()), Math.min(Math.max(at - Date.now(), 0), LONGEST_DELAY));
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  },
  hold: () => () => undefined,
});

interface VirtualTimer {
  at: number;
  order: number;
  run: () => void;
}

/** @param start milliseconds since 1970 at which virtual time begins */
export function createVirtualClock(start = Date.UTC(2030, 0, 1)): VirtualClock {
  let now = start;
  let order = 0;
  let holds = 0;
  let jumping = false;
  const waitingForTheEnd = new Set<() => void>();
  const timers = new Set<VirtualTimer>();

  const jumpWhenIdle = (): void => {
    if (jumping || holds > 0) return;
    jumping = true;
    // Whoever waits for what has just ended may go on first, and set timers or hold time again.
    setImmediate(() => {
      jumping = false;
      if (holds === 0) jump();
    });
  };

  const first = (): VirtualTimer | undefined => [...timers].reduce<VirtualTimer | undefined>(earlier, undefined);

  function jump(): void {
    const next = first();
    if (!next) {
      for (const resolve of waitingForTheEnd) resolve();
      waitingForTheEnd.clear();
      return;
    }
    now = Math.max(now, next.at);
    // Those of the same instant fire in one turn, as the machine's do.
    for (let due: VirtualTimer | undefined = next; due && due.at <= now; due = first()) {
      timers.delete(due);
      due.run();
    }
    jumpWhenIdle();
  }

  const clock: VirtualClock = {
    now: () => now,
    setTimer(at, run) {
      const timer = { at, order: order++, run };
      timers.add(timer);
      jumpWhenIdle();
      return { cancel: () => void timers.delete(timer) };
    },
    hold() {
      let held = true;
      holds += 1;
      return () => {
        if (!held) return;
        held = false;
        holds -= 1;
        jumpWhenIdle();
      };
    },
    async sleep(milliseconds) {
      // The sleeper's own hold is lent to the clock for as long as it sleeps.
      const lent = holds > 0;
      await new Promise<void>((resolve) => {
        if (lent) holds -= 1;
        clock.setTimer(now + milliseconds, () => {
          if (lent) holds += 1;
          resolve();
        });
      });
    },
    whenNothingIsLeft: () =>
      new Promise((resolve) => {
        waitingForTheEnd.add(resolve);
        jumpWhenIdle();
      }),
  };
  return clock;
}

const earlier = (a: VirtualTimer | undefined, b: VirtualTimer): VirtualTimer =>
  a && (a.at < b.at || (a.at === b.at && a.order < b.order)) ? a : b;

/** Real time, whatever the host's clock says: for grace periods and for retrying after a disk error. */
export const waitReally = (milliseconds: number): Promise<void> => wait(milliseconds, undefined, { ref: false });
