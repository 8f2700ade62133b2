/** The clouds' own ids of the requests that changed something: clients note them here, and whoever does the work collects them. */
import { AsyncLocalStorage } from "node:async_hooks";

const collecting = new AsyncLocalStorage<string[]>();

/** Enough to find a write in a cloud's own logs; a step that repeats itself more often is known by its last ones. */
const MOST_IDS = 10;

/** Gives `run` the list into which the ids of its requests come, such as `azure 4d2c…`. */
export function collectingRequests<T>(run: (ids: readonly string[]) => Promise<T>): Promise<T> {
  const ids: string[] = [];
  return collecting.run(ids, () => run(ids));
}

/** Said by a client of each request that may have changed something; where nobody collects, nothing happens. */
export function noteRequest(cloud: "azure" | "graph" | "exchange" | "vault", id: string | null | undefined): void {
  const ids = collecting.getStore();
  if (!ids || !id) return;
  ids.push(`${cloud} ${id}`);
  if (ids.length > MOST_IDS) ids.shift();
}
