/** When an address is asked about: hot ones every few minutes, the others each in its own moment, so that the fleet is spread. */
import type { BlocklistZone } from "../../shared/dns/blocklist-zones.ts";
import type { Past, Sighting } from "../../shared/stores/listings.ts";
import type { ListingPace } from "./world.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** A listed address is looked at this often, until it clears. */
const HOT = 5 * MINUTE;
/** An address is new for so long, and watched after it has been cleared: then a listing is most likely. */
export const WATCHED = 7 * DAY;
/**
 * Times the setting's interval, while an address is watched and once it is settled, clean and ours for longer: the less depends on a list,
 * the more seldom it is asked, but daily at least.
 */
const INTERVALS: Record<BlocklistZone["weight"], { watched: number; settled: number }> = {
  critical: { watched: 1, settled: 4 },
  high: { watched: 1, settled: 4 },
  medium: { watched: 1, settled: 4 },
  low: { watched: 1, settled: 8 },
  informational: { watched: 24, settled: 24 },
};
/** What a batch asks for its own sake, before and after it; with so many addresses that is a tenth of it. */
const TESTS_OF_A_BATCH = 6;
const GOOD_BATCH = 10 * TESTS_OF_A_BATCH;
/** Of what a list allows in a day; the rest is for tests, and for listed addresses with theirs. */
const SHARE_OF_BUDGET = 0.8;
const SHARE_OF_LISTED = 0.1;

/** What decides when one address is asked about on one list. */
export interface Watch {
  address: string;
  /** Since when it is ours; undefined for long. */
  since: string | undefined;
  sighting: Sighting | undefined;
  past: Past | undefined;
}

/** Milliseconds since 1970, and how many addresses the fleet has; `last` is undefined before the first run. */
export interface Moment {
  last: number | undefined;
  now: number;
  fleet: number;
}

/** Whether its moment lies between the last run and this one: a run that was missed is made up for by the next. */
export function due(watch: Watch, zone: BlocklistZone, { last, now, fleet }: Moment, pace: ListingPace): boolean {
  const { sighting } = watch;
  if (last === undefined) return true;
  const passes = (every: number, moment: number): boolean =>
    Math.floor((now - moment) / every) > Math.floor((last - moment) / every);
  if (sighting && sighting.state !== "unmapped") {
    // Before its time to live is over a name server only repeats itself.
    const patience = patienceOf(sighting, pace);
    const { dailyQueries = Infinity } = zone;
    const allowed = (DAY * TESTS_OF_A_BATCH) / (dailyQueries * SHARE_OF_LISTED);
    const rested = now - Date.parse(sighting.clean?.last ?? sighting.at ?? sighting.since) >= patience;
    if (sighting.state === "suspected" || (sighting.state === "clearing" && !sighting.flapping)) return rested;
    return rested && passes(Math.max(patience, hotInterval(pace), allowed), 0);
  }
  const every = intervalOf(watch, zone, { now, fleet }, pace);
  // Those that are listed are asked about in the same moments, so that they share a batch.
  const ofMost = intervalOf({ since: undefined, past: undefined }, zone, { now, fleet }, pace);
  const grid = Math.max(hotInterval(pace), (ofMost * GOOD_BATCH) / fleet);
  const slots = Math.max(1, Math.floor(every / grid));
  return passes(every, (Math.floor((hash(watch.address) / 2 ** 32) * slots) / slots) * every);
}

/** Between two answers that count, in milliseconds. */
export const patienceOf = (
  { ttlInSeconds = 0 }: Pick<Sighting, "ttlInSeconds">,
  { confirmAfterInSeconds }: Pick<ListingPace, "confirmAfterInSeconds">,
): number => Math.max(ttlInSeconds, confirmAfterInSeconds) * 1000;

const hotInterval = ({ pollEveryInSeconds }: ListingPace): number => Math.min(HOT, pollEveryInSeconds * 1000);

/** How often an address that isn't listed is asked about, in milliseconds. */
function intervalOf(
  { since, past }: Pick<Watch, "since" | "past">,
  { weight, dailyQueries = Infinity }: BlocklistZone,
  { now, fleet }: Pick<Moment, "now" | "fleet">,
  { pollEveryInSeconds }: ListingPace,
): number {
  const watched = [since, past?.clearedAt].some((time) => time !== undefined && now - Date.parse(time) < WATCHED);
  const setting = pollEveryInSeconds * 1000;
  const wished = Math.max(setting, Math.min(DAY, setting * INTERVALS[weight][watched ? "watched" : "settled"]));
  return Math.max(wished, (DAY * fleet) / (dailyQueries * SHARE_OF_BUDGET));
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.charCodeAt(0), 0x01000193) >>> 0;
  // Addresses differ in their last digits, which FNV-1a leaves in the low bits: mix them upwards.
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d) >>> 0;
  return (value ^ (value >>> 15)) >>> 0;
}
