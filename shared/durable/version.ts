/**
 * Orchestrations carry the version of the app that they were begun with (host.json, `defaultVersion`); a newer app goes on with them. Where
 * an orchestrator decides otherwise than before, it asks here, so that those under way go on as they began.
 */
import type { OrchestrationContext } from "./routine.ts";

/** Whether it was begun by an app of this version or a later one. */
export const begunWith = (context: OrchestrationContext, version: string): boolean => {
  const [own, asked] = [numbersIn(context.df.version), numbersIn(version)];
  for (let place = 0; place < Math.max(own.length, asked.length); place++) {
    const difference = (own[place] ?? 0) - (asked[place] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
};

/** One that was begun before there were versions has none: it is older than all of them. */
const numbersIn = (version: string | undefined): number[] => (version ? version.split(".").map(Number) : []);
