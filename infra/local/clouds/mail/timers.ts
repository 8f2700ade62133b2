/** Modelled waiting: real timers, shortened by the platform's tempo, that never keep the process alive. */
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
  const run = (work: () => Promise<void> | void) => (): void => {
    if (!stopped) void attempt(work);
  };
  async function attempt(work: () => Promise<void> | void): Promise<void> {
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
    }
  }
  return {
    soon: (work) => void setImmediate(run(work)),
    after: (modelledMilliseconds, work) =>
      void setTimeout(run(work), Math.max(SHORTEST_IN_MILLISECONDS, modelledMilliseconds * platform.tempo)).unref(),
    stop: () => {
      stopped = true;
    },
  };
}
