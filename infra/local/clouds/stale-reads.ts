/** Remembers what each read answered before the last writes, so that a replica that lags behind can be played. */
import type { CloudName, SimulatedRequest, SimulatedResponse } from "./simulator.ts";

export interface StaleReads {
  /** Called for each answer of a cloud. */
  note(cloud: CloudName, request: SimulatedRequest, answer: SimulatedResponse): void;
  /** What this read answered before something was written: the newest answer that differs from the present one. */
  before(cloud: CloudName, request: SimulatedRequest, answer: SimulatedResponse): SimulatedResponse | undefined;
  clear(): void;
}

/** The reads that were asked longest ago are forgotten when there are more. */
const CAPACITY = 2000;
/** Writes elsewhere come in between: more than the last answer is worth keeping. */
const ANSWERS = 4;

interface Remembered {
  writes: number;
  answer: SimulatedResponse;
}

export function createStaleReads(): StaleReads {
  const writes = new Map<CloudName, number>();
  const reads = new Map<string, Remembered[]>();
  // One tenant's read is not another's: the token, and so the caller, is part of what was asked.
  const keyOf = (cloud: CloudName, { method, url, headers, text }: SimulatedRequest): string =>
    [cloud, method, url.href, headers["x-cmdletname"] ?? "", tenantIn(headers["authorization"]), text].join("\n");

  return {
    note: (cloud, request, answer) => {
      const count = writes.get(cloud) ?? 0;
      if (answer.effect === "write") {
        writes.set(cloud, count + 1);
        return;
      }
      if (answer.status !== 200 && answer.status !== 404) return;
      const key = keyOf(cloud, request);
      const earlier = (reads.get(key) ?? []).filter((one) => one.writes < count);
      reads.delete(key);
      reads.set(key, [{ writes: count, answer }, ...earlier].slice(0, ANSWERS));
      const [oldest] = reads.keys();
      if (reads.size > CAPACITY && oldest !== undefined) reads.delete(oldest);
    },
    before: (cloud, request, answer) => {
      const present = JSON.stringify([answer.status, answer.body]);
      return reads.get(keyOf(cloud, request))?.find((one) => JSON.stringify([one.answer.status, one.answer.body]) !== present)
        ?.answer;
    },
    clear: () => {
      writes.clear();
      reads.clear();
    },
  };
}

function tenantIn(authorization: string | undefined): string {
  const payload = /^Bearer [\w-]+\.([\w-]+)\./i.exec(authorization ?? "")?.[1];
  return payload === undefined ? "" : (/"tid":"([^"]*)"/.exec(Buffer.from(payload, "base64url").toString("utf8"))?.[1] ?? "");
}
