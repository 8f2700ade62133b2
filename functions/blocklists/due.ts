/** Which addresses a run asks about: each in its own moment of the interval, so that the fleet is spread over it. */
import type { Sighting } from "../../shared/stores/listings.ts";
import type { ListingPace } from "./world.ts";

/** A listed address is watched more closely than a clean one. */
const WATCH_EVERY_IN_SECONDS = 300;

/**
 * Whether the address' moment lies between the last run and this one: a run that was missed is made up for by the next. Suspected and
 * clearing addresses are always due.
 * @param last milliseconds since 1970; undefined before the first run
 */
export function due(
  address: string,
  sighting: Sighting | undefined,
  last: number | undefined,
  now: number,
  { pollEveryInSeconds }: ListingPace,
): boolean {
  if (last === undefined || sighting?.state === "suspected" || sighting?.state === "clearing") return true;
  const every = 1000 * (sighting ? Math.min(pollEveryInSeconds, WATCH_EVERY_IN_SECONDS) : pollEveryInSeconds);
  const moment = (hash(address) / 2 ** 32) * every;
  return Math.floor((now - moment) / every) > Math.floor((last - moment) / every);
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ character.charCodeAt(0), 0x01000193) >>> 0;
  // Addresses differ in their last digits, which FNV-1a leaves in the low bits: mix them upwards.
  value = Math.imul(value ^ (value >>> 16), 0x7feb352d) >>> 0;
  return (value ^ (value >>> 15)) >>> 0;
}
