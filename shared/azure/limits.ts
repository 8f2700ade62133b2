/**
 * Which of Azure's token buckets a request takes from, one token each.
 *
 * Sources: "Understand how Azure Resource Manager throttles requests" (for each subscription and principal 250 reads and 25 more a second,
 * 200 writes and 10, 200 deletes and 10) and, there too, Network's own (1,000 writes and 10,000 reads in five minutes). Compute's
 * count per machine besides, and a machine is written a handful of times in its life.
 */

export interface Limit {
  /** Whose bucket: a subscription's id in small letters, or `tenant` for what belongs to none. */
  subscription: string;
  bucket: "reads" | "writes" | "deletes" | "networkReads" | "networkWrites";
  /** Tokens in a full bucket. */
  size: number;
  perSecond: number;
}

const FIVE_MINUTES_IN_SECONDS = 300;

/** @param url absolute, or a path below the endpoint */
export function limitsOf(method: string, url: string): Limit[] {
  const subscription = (/\/subscriptions\/([^/?]+)/i.exec(url)?.[1] ?? "tenant").toLowerCase();
  const own = ownLimit(subscription, method);
  if (!/\/providers\/microsoft\.network\//i.test(url)) return [own];
  const [bucket, size] = own.bucket === "reads" ? (["networkReads", 10_000] as const) : (["networkWrites", 1000] as const);
  return [own, { subscription, bucket, size, perSecond: size / FIVE_MINUTES_IN_SECONDS }];
}

function ownLimit(subscription: string, method: string): Limit {
  if (method === "GET" || method === "HEAD") return { subscription, bucket: "reads", size: 250, perSecond: 25 };
  return { subscription, bucket: method === "DELETE" ? "deletes" : "writes", size: 200, perSecond: 10 };
}
