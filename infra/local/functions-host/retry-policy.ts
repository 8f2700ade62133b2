/** Function-level retries: whether a failed call is tried again, and after which wait. They live in memory: a host that ends forgets them. */

import type { RetryOptions } from "./functions-core.ts";

export interface RetryPolicy {
  /** -1 is for ever. */
  maxRetryCount: number;
  /** @param retryCount the first retry is 1. @returns milliseconds to wait before it, or undefined if there is none */
  delayBefore(retryCount: number): number | undefined;
}

/** How far a wait may be from its mean (azure-webjobs-sdk, RandomizedExponentialBackoffStrategy.cs). */
const SPREAD = 0.2;

/** @param random as Math.random */
export function retryPolicy(options: RetryOptions | undefined, random: () => number = Math.random): RetryPolicy {
  const { maxRetryCount = 0 } = options ?? {};
  const delayBefore = options?.retryStrategy === "exponentialBackoff" ? exponential(options, random) : fixed(options);
  return {
    maxRetryCount,
    delayBefore: (retryCount) => (maxRetryCount === -1 || retryCount <= maxRetryCount ? delayBefore(retryCount) : undefined),
  };
}

const fixed = (options: RetryOptions | undefined) => (): number => milliseconds(options?.delayInterval);

/** The least interval, and on top of it that interval once, twice, four times …, each more or less, up to the most. */
function exponential({ minimumInterval, maximumInterval }: RetryOptions, random: () => number) {
  const least = milliseconds(minimumInterval);
  const most = milliseconds(maximumInterval);
  return (retryCount: number): number => {
    const spread = 1 - SPREAD + 2 * SPREAD * random();
    return Math.min(most, least + least * 2 ** (retryCount - 1) * spread);
  };
}

const milliseconds = (duration: { seconds: number } | undefined): number => (duration?.seconds ?? 0) * 1000;
