/**
 * Keeps our requests below Azure's limits before Azure has to: a request for which there is no token is not sent, and its step waits on a durable
 * timer. Instances take tokens from a shared row (`shared/stores/quotas.ts`), a few at a time.
 *
 * Without it each of many waiting steps finds out by a 429 of its own, again and again; those count as requests, too, and the
 * health of the fleet is asked for under the same principal. A 429 that comes all the same is handled as ever.
 */
import type { Clock } from "../clock.ts";
import { ControlPlaneError } from "../errors.ts";
import type { QuotaStore } from "../stores/quotas.ts";
import { type Limit, limitsOf } from "./limits.ts";

export interface Governor {
  /** Throws `AzureQuotaUsed`, with the seconds to wait, when the request would be one too many. Nothing was sent then. */
  admit(method: string, url: string): Promise<void>;
  /** What Azure's answer says is left, by its headers. */
  learn(method: string, url: string, header: (name: string) => string | undefined): void;
}

/** So long nobody asks again whether there are tokens when there were none. */
const NONE_LASTS_IN_SECONDS = 1;
/** As many as an instance takes at a time: few enough that little is lost with an instance that ends. */
const SHARE = 10;
/**
 * Left in Azure's bucket, as far as Azure tells: what other instances have taken from the row and not sent yet is in it, and where somebody
 * else under our name uses it, too, that shows there first.
 */
const RESERVE = 4 * SHARE;
/** What isn't used by then goes back: the row has filled up meanwhile, and nobody counts twice. */
const SHARE_LASTS_IN_SECONDS = 10;

interface Share {
  tokens: number;
  /** Milliseconds since 1970. */
  until: number;
  /** There were none: the row isn't asked again before. Milliseconds since 1970. */
  noneUntil: number;
  /** Until when those who were sent away come back, one after another. Milliseconds since 1970. */
  promisedUntil: number;
  /** The row is being asked: who needs a token meanwhile waits for that answer, instead of asking against it. */
  filling?: Promise<void> | undefined;
  /** What Azure said was left, and when. */
  seen?: { left: number; at: number };
}

export interface GovernorOptions {
  quotas: QuotaStore;
  clock: Clock;
  /** How many times as fast as Azure's the buckets fill. */
  refill?: number;
}

export function createGovernor({ quotas, clock, refill = 1 }: GovernorOptions): Governor {
  const limitsHere = (method: string, url: string): Limit[] =>
    limitsOf(method, url).map((limit) => ({ ...limit, perSecond: limit.perSecond * refill }));
  const shares = new Map<string, Share>();
  const shareOf = ({ subscription, bucket }: Limit): Share => {
    const key = `${subscription} ${bucket}`;
    const share = shares.get(key) ?? { tokens: 0, until: 0, noneUntil: 0, promisedUntil: 0 };
    shares.set(key, share);
    return share;
  };

  /** Whether a token is at hand. What was not used in time is nobody's. */
  const has = (share: Share): boolean => {
    if (share.until <= clock.now()) share.tokens = 0;
    return share.tokens >= 1;
  };

  const fill = async (limit: Limit, share: Share): Promise<void> => {
    const now = clock.now();
    const { seen } = share;
    const left = seen && seen.left + ((now - seen.at) / 1000) * limit.perSecond - RESERVE;
    // Without storage nobody knows how many there are: Azure's own answer decides then.
    const granted = await quotas.take(limit, SHARE, left).catch(() => SHARE);
    if (granted === 0) share.noneUntil = now + NONE_LASTS_IN_SECONDS * 1000;
    share.tokens += granted;
    share.until = clock.now() + SHARE_LASTS_IN_SECONDS * 1000;
  };

  return {
    admit: async (method, url) => {
      const limits = limitsHere(method, url);
      // Others take what has come while this one waits: so all are looked at again, until none lacks or one has run dry.
      for (;;) {
        const lacking = limits.find((limit) => !has(shareOf(limit)));
        if (lacking === undefined) break;
        const share = shareOf(lacking);
        if (share.noneUntil > clock.now()) throw used(lacking, secondsUntilTurn(share, lacking, clock.now()));
        share.filling ??= fill(lacking, share).finally(() => {
          share.filling = undefined;
        });
        await share.filling;
      }
      for (const limit of limits) shareOf(limit).tokens -= 1;
    },
    learn: (method, url, header) => {
      const [limit] = limitsHere(method, url);
      if (limit === undefined) return;
      const left = Number(header(`x-ms-ratelimit-remaining-subscription-${limit.bucket}`) ?? Number.NaN);
      if (!Number.isInteger(left)) return;
      const share = shareOf(limit);
      share.seen = { left, at: clock.now() };
    },
  };
}

/** Each who is sent away gets a turn of its own, so that they don't all come back at once. */
function secondsUntilTurn(share: Share, { perSecond }: Limit, now: number): number {
  share.promisedUntil = Math.max(now, share.promisedUntil) + 1000 / perSecond;
  return Math.max(1, Math.ceil((share.promisedUntil - now) / 1000));
}

const used = ({ subscription, bucket }: Limit, retryAfterInSeconds: number): ControlPlaneError =>
  new ControlPlaneError(
    "AzureQuotaUsed",
    `the ${bucket} that Azure allows us in ${subscription === "tenant" ? "a tenant" : `subscription ${subscription}`} are used up for the moment`,
    503,
    true,
    { retryAfterInSeconds, untried: true },
  );

/** Nobody has looked, so nobody may say that it is unknown what is there. */
export const isQuotaUsed = (error: unknown): boolean => error instanceof ControlPlaneError && error.untried;
