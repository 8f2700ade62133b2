/** Everything that happens later, on one timer of the clock: lock ends, expiries, scheduled messages. */
import type { Clock } from "../../../shared/clock.ts";
import { createHeap } from "./heap.ts";

/** The functions host's clocks fit. */
export interface BrokerClock extends Clock {
  /** Calls `run` once, when `now()` has reached `at` (milliseconds since 1970), never before. */
  setTimer(at: number, run: () => void): { cancel(): void };
}

export interface Timers {
  /** Calls `run` when it is `at` (milliseconds since 1970); what is no longer wanted finds that out itself. */
  at(at: number, run: () => void): void;
  stop(): void;
}

export function createTimers(clock: BrokerClock): Timers {
  const waiting = createHeap<{ at: number; run: () => void }>(({ at }) => at);
  let armed: { at: number; cancel(): void } | undefined;
  let stopped = false;

  function arm(): void {
    armed?.cancel();
    armed = undefined;
    const next = waiting.peek();
    if (next && !stopped) armed = { at: next.at, cancel: clock.setTimer(next.at, fire).cancel };
  }

  function fire(): void {
    for (let next = waiting.peek(); next && next.at <= clock.now(); next = waiting.peek()) {
      waiting.pop();
      next.run();
    }
    arm();
  }

  return {
    at(at, run) {
      waiting.push({ at, run });
      if (!armed || at < armed.at) arm();
    },
    stop() {
      stopped = true;
      armed?.cancel();
    },
  };
}
