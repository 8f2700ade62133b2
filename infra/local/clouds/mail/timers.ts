/** Modelled waiting: on the platform's time, shortened by its tempo. */
import type { Platform } from "../simulator.ts";

/** Even at tempo 0 a retry is not a busy loop. */
const SHORTEST_IN_MILLISECONDS = 20;

export interface Timers {
  soon(work: () => Promise<void> | void): void;
  after(modelledMilliseconds: number, work: () => Promise<void> | void): void;
  /** Nothing begins any more: the platform's state is about to close. */
  stop(): void;
}

/** Work that fails is noted, not thrown: nobody waits for it. */
export function schedule(platform: Platform): Timers {
  let stopped = false;
  const waiting = new Set<{ cancel(): void }>();
  async function attempt(work: () => Promise<void> | void): Promise<void> {
    const release = platform.hold();
    try {
      await work();
    } catch (error) {
      if (stopped) return;
      platform.note("mail", {
        method: "FAULT",
        url: "mail:",
        status: 500,
        responseBody: error instanceof Error ? error.message : String(error),
      });
    } finally {
      release();
    }
  }
  return {
    soon: (work) => {
      const release = platform.hold();
      setImmediate(() => {
        if (!stopped) void attempt(work);
        release();
      });
    },
    after: (modelledMilliseconds, work) => {
      const timer = platform.after(Math.max(SHORTEST_IN_MILLISECONDS, modelledMilliseconds * platform.tempo), () => {
        waiting.delete(timer);
        if (!stopped) void attempt(work);
      });
      waiting.add(timer);
    },
    stop: () => {
      stopped = true;
      for (const timer of waiting) timer.cancel();
    },
  };
}
