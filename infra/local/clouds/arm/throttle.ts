/**
 * The token buckets that stand before the simulated Azure: Resource Manager's own, and those of the providers Network and Compute.
 *
 * Sources: "Understand how Azure Resource Manager throttles requests" (2024) for Resource Manager (reads 250 with 25 a second, writes and
 * deletes 200 with 10, for each subscription and principal; fifteen times that for all principals of a subscription) and Network (1,000
 * writes and 10,000 reads in five minutes); "Compute throttling limits" (2025) for Compute, whose buckets refill by the minute; body and
 * header of Compute's refusal are those of "Troubleshoot API throttling errors in Compute". Seconds are this platform's; at tempo 0
 * nothing is throttled unless a bucket was drained by `POST /azure/throttling`.
 */
import * as z from "zod";
import type { Platform } from "../simulator.ts";
import { ArmError } from "./envelope.ts";

type Kind = "reads" | "writes" | "deletes";

interface Limit {
  name: string;
  /** Whose bucket it is: the same name with another key is another bucket. */
  key: string;
  size: number;
  perSecond: number;
  provider: "arm" | "network" | "compute";
}

interface Bucket {
  tokens: number;
  at: number;
  /** Drained on command: stays empty until then. */
  emptyUntil?: number;
}

export interface ThrottledRequest {
  method: string;
  /** Below the endpoint, without a slash at the end. */
  path: string;
  principalId: string;
}

export interface Throttle {
  /** Takes a token of each bucket and gives the headers that tell how many are left; throws 429 when one is empty. */
  take(request: ThrottledRequest): Record<string, string>;
  /** Empties every bucket of a name, such as `writes` or `PutVM`, for a while. */
  drain(request: z.output<typeof drainSchema>): void;
}

export const drainSchema = z.strictObject({
  bucket: z.enum([
    "reads",
    "writes",
    "deletes",
    "NetworkReads",
    "NetworkWrites",
    "PutVM",
    "UpdateVM",
    "GetVM",
    "HighCostGet",
    "GetOperation",
  ]),
  /** How long it stays empty, and so what Retry-After says. */
  seconds: z.number().min(1).max(3600).default(5),
});

const kindOf = (method: string): Kind =>
  method === "GET" || method === "HEAD" ? "reads" : method === "DELETE" ? "deletes" : "writes";

export function createThrottle(platform: Pick<Platform, "now" | "tempo">): Throttle {
  const buckets = new Map<string, Bucket>();
  const drained = new Map<string, number>();
  const { tempo } = platform;

  const filled = ({ key, size, perSecond }: Limit): Bucket => {
    const now = platform.now();
    const bucket = buckets.get(key) ?? { tokens: size, at: now };
    const refill = tempo === 0 ? size : ((now - bucket.at) / 1000 / tempo) * perSecond;
    return { tokens: Math.min(size, bucket.tokens + refill), at: now };
  };

  return {
    take: (request) => {
      const limits = limitsOf(request);
      const now = platform.now();
      for (const limit of limits) {
        const emptyFor = (drained.get(limit.name) ?? 0) - now;
        if (emptyFor > 0) throw refusal(limit, request, Math.ceil(emptyFor / 1000));
        const { tokens } = filled(limit);
        if (tokens < 1) throw refusal(limit, request, Math.max(1, Math.ceil(((1 - tokens) / limit.perSecond) * tempo)));
      }
      const headers: Record<string, string> = {};
      const resources: string[] = [];
      for (const limit of limits) {
        const bucket = filled(limit);
        const tokens = bucket.tokens - 1;
        buckets.set(limit.key, { ...bucket, tokens });
        const left = String(Math.floor(tokens));
        if (limit.provider === "arm") headers[`x-ms-ratelimit-remaining-subscription-${limit.name}`] = left;
        if (limit.provider === "compute") resources.push(`Microsoft.Compute/${limit.name};${left}`);
      }
      return resources.length === 0 ? headers : { ...headers, "x-ms-ratelimit-remaining-resource": resources.join(",") };
    },
    drain: ({ bucket, seconds }) => {
      const until = platform.now() + seconds * 1000;
      for (const suffix of ["", "Resource", "Subscription"]) drained.set(`${bucket}${suffix}`, until);
    },
  };
}

/** Every bucket that a request takes from. */
function limitsOf({ method, path, principalId }: ThrottledRequest): Limit[] {
  const kind = kindOf(method);
  const subscriptionId = (/^\/subscriptions\/([^/]+)/i.exec(path)?.[1] ?? "tenant").toLowerCase();
  const size = kind === "reads" ? 250 : 200;
  const perSecond = kind === "reads" ? 25 : 10;
  const own: Limit[] = [
    { name: kind, key: `${subscriptionId}/${principalId}/${kind}`, size, perSecond, provider: "arm" },
    { name: `global-${kind}`, key: `${subscriptionId}/${kind}`, size: size * 15, perSecond: perSecond * 15, provider: "arm" },
  ];
  const [, namespace = "", rest = ""] = /\/providers\/(Microsoft\.[A-Za-z]+)\/(.*)$/i.exec(path) ?? [];
  switch (namespace.toLowerCase()) {
    case "microsoft.network":
      return [...own, networkLimit(subscriptionId, kind)];
    case "microsoft.compute":
      return [...own, ...computeLimits(subscriptionId, method, rest.toLowerCase().split("/"))];
  }
  return own;
}

function networkLimit(subscriptionId: string, kind: Kind): Limit {
  const name = kind === "reads" ? "NetworkReads" : "NetworkWrites";
  const size = kind === "reads" ? 10_000 : 1000;
  return { name, key: `${subscriptionId}/${name}`, size, perSecond: size / 300, provider: "network" };
}

/** One bucket for the resource and one for the subscription; Compute counts the latter by region, here it is one for all. */
function computeLimits(subscriptionId: string, method: string, segments: string[]): Limit[] {
  const [type, name, child] = segments;
  const pair = (group: string, resource: string, perMinute: number, inSubscription: number): Limit[] => [
    ...(resource === "" ? [] : [perMinuteLimit(`${group}Resource`, `${subscriptionId}/${group}/${resource}`, perMinute)]),
    perMinuteLimit(`${group}Subscription`, `${subscriptionId}/${group}`, inSubscription),
  ];
  if (type === "locations" && child?.startsWith("operation")) return pair("GetOperation", segments[3] ?? "", 15, 5000);
  if (type !== "virtualmachines") return [];
  if (name === undefined) return pair("HighCostGet", "", 0, 300);
  if (method === "GET") return pair("GetVM", name, 12, 8000);
  return method === "PUT" && child === undefined ? pair("PutVM", name, 4, 500) : pair("UpdateVM", name, 4, 500);
}

/** A bucket holds three minutes' worth. */
const perMinuteLimit = (name: string, key: string, perMinute: number): Limit => ({
  name,
  key,
  size: perMinute * 3,
  perSecond: perMinute / 60,
  provider: "compute",
});

function refusal({ name, provider, size }: Limit, { method, path, principalId }: ThrottledRequest, seconds: number): ArmError {
  const headers = { "retry-after": String(seconds) };
  const subscriptionId = path.split("/")[2] ?? "";
  if (provider === "arm")
    return new ArmError(
      429,
      "SubscriptionRequestsThrottled",
      `Number of '${name.replace(/s$/, "")}' requests for subscription '${subscriptionId}' actor '${principalId}' exceeded. Please try again after '${seconds}' seconds after additional tokens are available.`,
      { headers: { ...headers, [`x-ms-ratelimit-remaining-subscription-${name}`]: "0" } },
    );
  if (provider === "network")
    return new ArmError(
      429,
      "TooManyRequests",
      `The request rate of ${method} requests of subscription '${subscriptionId}' to Microsoft.Network exceeds ${size} in 5 minutes.`,
      { headers },
    );
  return new ArmError(
    429,
    "OperationNotAllowed",
    "The server rejected the request because too many requests have been received for this subscription.",
    {
      headers: { ...headers, "x-ms-ratelimit-remaining-resource": `Microsoft.Compute/${name};0` },
      details: [
        {
          code: "TooManyRequests",
          target: name,
          message: JSON.stringify({ operationGroup: name, allowedRequestCount: size, measuredRequestCount: size + 1 }),
        },
      ],
    },
  );
}
