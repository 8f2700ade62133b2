/** One virtual time for everything in this process: the host and the clouds wait on it, and it is what `Date` says to the app and to SDKs. */
import { vi } from "vitest";
import { createVirtualClock, type VirtualClock } from "../../infra/local/functions-host/clock.ts";

export interface VirtualTime {
  clock: VirtualClock;
  /** Lets time go on until it has happened; at all other moments it stands still. Fails when a month passes without it. */
  until<T>(happened: Promise<T>): Promise<T>;
  stop(): void;
}

const LONGEST_IN_MILLISECONDS = 30 * 24 * 3600 * 1000;

/** @param start milliseconds since 1970 */
export function startVirtualTime(start: number): VirtualTime {
  vi.useFakeTimers({ toFake: ["Date"], now: start });
  const bare = createVirtualClock(start);
  const clock: VirtualClock = {
    ...bare,
    // Time only jumps to a timer, just before it runs.
    setTimer: (at, run) =>
      bare.setTimer(at, () => {
        vi.setSystemTime(bare.now());
        run();
      }),
  };
  let release = clock.hold();
  return {
    clock,
    until: async (happened) => {
      const tooLong = Promise.withResolvers<never>();
      const limit = clock.setTimer(clock.now() + LONGEST_IN_MILLISECONDS, () =>
        tooLong.reject(new Error("a month passed, and it has not happened")),
      );
      release();
      try {
        return await Promise.race([happened, tooLong.promise]);
      } finally {
        release = clock.hold();
        limit.cancel();
      }
    },
    stop: () => void vi.useRealTimers(),
  };
}
