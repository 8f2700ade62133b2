/** Lets through only so many at once, and only so many a second, however many come. */
import { setTimeout as pause } from "node:timers/promises";

export type Gate = <Answer>(ask: () => Promise<Answer>) => Promise<Answer>;

export function createGate({ mostAtOnce, perSecond = Infinity }: { mostAtOnce: number; perSecond?: number }): Gate {
  const waiting: (() => void)[] = [];
  let inside = 0;
  let next = 0;

  return async (ask) => {
    if (inside < mostAtOnce) inside += 1;
    else await new Promise<void>((enter) => waiting.push(enter));
    try {
      const now = performance.now();
      const at = Math.max(now, next);
      next = at + 1000 / perSecond;
      // A timer takes a millisecond at least: what is due within it goes at once, and those after it wait the longer.
      if (at - now >= 1) await pause(at - now);
      return await ask();
    } finally {
      const enter = waiting.shift();
      if (enter) enter();
      else inside -= 1;
    }
  };
}
