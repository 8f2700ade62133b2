/**
 * ARM's token buckets: per subscription, principal and kind of operation. Source: Microsoft's "Understand how Azure Resource Manager
 * throttles requests" (2024): reads 250 with 25 a second, writes 200 with 10, deletes 200 with 10. Seconds are this platform's.
 */
import type { Platform } from "../simulator.ts";
import { ArmError } from "./envelope.ts";

type Kind = "reads" | "writes" | "deletes";

const limits: Record<Kind, { size: number; perSecond: number }> = {
  reads: { size: 250, perSecond: 25 },
  writes: { size: 200, perSecond: 10 },
  deletes: { size: 200, perSecond: 10 },
};

const kindOf = (method: string): Kind =>
  method === "GET" || method === "HEAD" ? "reads" : method === "DELETE" ? "deletes" : "writes";

/** Takes a token and gives the header that tells how many are left; throws 429 when there is none. */
export function createThrottle(
  platform: Platform,
): (method: string, subscriptionId: string, principalId: string) => Record<string, string> {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return (method, subscriptionId, principalId) => {
    const kind = kindOf(method);
    const { size, perSecond } = limits[kind];
    const key = `${subscriptionId.toLowerCase()}/${principalId}/${kind}`;
    const now = platform.now();
    const bucket = buckets.get(key) ?? { tokens: size, at: now };
    const refill = platform.tempo === 0 ? size : ((now - bucket.at) / 1000 / platform.tempo) * perSecond;
    const tokens = Math.min(size, bucket.tokens + refill);
    if (tokens < 1)
      throw new ArmError(
        429,
        "SubscriptionRequestsThrottled",
        `Number of ${kind} for subscription '${subscriptionId}' and principal exceeded the limit. Please try again after '1' seconds.`,
        { headers: { "retry-after": "1", [`x-ms-ratelimit-remaining-subscription-${kind}`]: "0" } },
      );
    buckets.set(key, { tokens: tokens - 1, at: now });
    return { [`x-ms-ratelimit-remaining-subscription-${kind}`]: String(Math.floor(tokens - 1)) };
  };
}
