/**
 * Graph's limits for identity and access, in resource units: what a request costs, what an application may spend in a tenant, and the
 * headers that tell it. Source: "Microsoft Graph service-specific throttling limits" (identity and access) and "Microsoft Graph throttling
 * guidance". Mail has limits of its own, which are Exchange's.
 */
import type { SimulatedRequest } from "../simulator.ts";

/** Of a tenant with fewer than 50 users, for one application; larger ones may spend 5000 and 8000. */
const UNITS = 3500;
const UNITS_WINDOW_IN_MILLISECONDS = 10_000;
const WRITES = 3000;
const WRITES_WINDOW_IN_MILLISECONDS = 150_000;
/** From this share on an answer says how near the limit is. */
const TOLD_FROM = 0.8;

/** What a read costs beyond 1, by what its path begins with. */
const READ_COSTS: readonly [RegExp, number][] = [
  [/^\/users(\/[^/]+)?$/, 2],
  [/^\/applications(\/|\(|$)/, 2],
  [/^\/groups\/[^/]+\/members$/, 3],
  [/^\/groups\/[^/]+\/transitiveMembers$/, 5],
];

export interface Spent {
  /** Seconds to wait; undefined when the request is served. */
  retryAfterInSeconds: number | undefined;
  headers: Record<string, string>;
}

export type Throttle = (spender: { tenantId: string; applicationId: string }, request: SimulatedRequest, path: string) => Spent;

/** `tempo` shortens the windows as it does all modelled durations; at 0 there is no limit. */
export function createThrottle({ now, tempo }: { now: () => number; tempo: number }): Throttle {
  const windows = new Map<string, { since: number; spent: number }>();

  /** What would be spent with this, and how long the window lasts yet. */
  function spend(key: string, amount: number, length: number): { spent: number; left: number } {
    const known = windows.get(key);
    const current = known && now() < known.since + length * tempo ? known : { since: now(), spent: 0 };
    const spent = current.spent + amount;
    windows.set(key, { ...current, spent });
    return { spent, left: current.since + length * tempo - now() };
  }

  return ({ tenantId, applicationId }, request, path) => {
    const cost = costOf(request, path);
    const key = `${tenantId}/${applicationId}`;
    const units = spend(`${key}/units`, cost, UNITS_WINDOW_IN_MILLISECONDS);
    const writes = request.method === "GET" ? undefined : spend(`${key}/writes`, 1, WRITES_WINDOW_IN_MILLISECONDS);
    const share = Math.max(units.spent / UNITS, (writes?.spent ?? 0) / WRITES);
    const left = writes && writes.spent > WRITES ? writes.left : units.left;
    const limited = tempo > 0 && share > 1;
    return {
      retryAfterInSeconds: limited ? Math.max(1, Math.ceil(left / 1000)) : undefined,
      headers: {
        "x-ms-resource-unit": String(cost),
        ...(tempo > 0 && share >= TOLD_FROM ? { "x-ms-throttle-limit-percentage": share.toFixed(2) } : {}),
        ...(limited ? { "x-ms-throttle-scope": `Tenant_Application/ReadWrite/${applicationId}/${tenantId}` } : {}),
      },
    };
  };
}

/** `$select` makes a read cheaper by one, `$top` under 20 too, `$expand` dearer; nothing is free. */
function costOf({ method, url: { searchParams } }: SimulatedRequest, path: string): number {
  if (method !== "GET") return 1;
  const base = READ_COSTS.find(([pattern]) => pattern.test(path))?.[1] ?? 1;
  const few = searchParams.has("$top") && Number(searchParams.get("$top")) < 20;
  return Math.max(1, base - Number(searchParams.has("$select")) - Number(few) + Number(searchParams.has("$expand")));
}
