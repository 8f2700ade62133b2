/** Duplicate detection: the ids that a queue has seen within its window. */
export interface SeenIds {
  /** Whether the id was seen within the window; if not, it is now. */
  seen(id: string, now: number): boolean;
}

interface Memory {
  rememberId(id: string, seenAt: number): void;
  forgetIdsSeenUntil(until: number): void;
}

/** @param kept what was seen earlier, oldest first */
export function createSeenIds(windowInMilliseconds: number, kept: { id: string; seenAt: number }[], memory: Memory): SeenIds {
  /** In the order of time. */
  const times = new Map(kept.map(({ id, seenAt }) => [id, seenAt]));

  function forgetUntil(until: number): void {
    let forgotten = false;
    for (const [id, seenAt] of times) {
      if (seenAt > until) break;
      times.delete(id);
      forgotten = true;
    }
    if (forgotten) memory.forgetIdsSeenUntil(until);
  }

  return {
    seen(id, now) {
      forgetUntil(now - windowInMilliseconds);
      if (times.has(id)) return true;
      times.set(id, now);
      memory.rememberId(id, now);
      return false;
    },
  };
}
