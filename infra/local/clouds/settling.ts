/**
 * Replicas that lag behind: what was just written isn't seen by the first looks at it, and not before its modelled time is over either.
 *
 * How many looks miss is `platform.lag`: the count makes sure that a client meets the gap however short its time is modelled. A minute
 * later every replica has caught up, looked at or not.
 */
import type { Platform } from "./simulator.ts";

export interface Settling {
  /** Something was written under this key; `looks` multiplies the platform's lag. */
  begin(key: string, options?: { looks?: number; milliseconds?: number }): void;
  /** Whether this look still misses it. What was never begun is seen. */
  unseen(key: string): boolean;
  /** Like `unseen`, for what began when somebody looked first. */
  unseenAtFirst(key: string): boolean;
}

interface Gap {
  looks: number;
  until: number;
  over: number;
}

const LONGEST_IN_MILLISECONDS = 60_000;

export function createSettling(platform: Platform): Settling {
  const gaps = platform.collection<Gap>("platform.settling");
  const settling: Settling = {
    begin: (key, { looks = 1, milliseconds = 0 } = {}) => {
      const now = platform.now();
      const until = now + milliseconds * platform.tempo;
      const gap = { looks: looks * platform.lag, until, over: Math.max(until, now + LONGEST_IN_MILLISECONDS) };
      if (gap.looks > 0 || gap.until > platform.now()) gaps.set(key, gap);
    },
    unseen: (key) => {
      const gap = gaps.get(key);
      if (!gap || platform.now() >= gap.over) return false;
      if (gap.looks > 0) {
        gaps.set(key, { ...gap, looks: gap.looks - 1 });
        return true;
      }
      return platform.now() < gap.until;
    },
    unseenAtFirst: (key) => {
      if (!gaps.get(key)) gaps.set(key, { looks: platform.lag, until: 0, over: platform.now() + LONGEST_IN_MILLISECONDS });
      return settling.unseen(key);
    },
  };
  return settling;
}
