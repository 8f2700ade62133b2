/**
 * From answers to listings: two sightings some time apart make one, three clean answers some time apart end it, unknown moves nothing. A code
 * that nobody mapped is shown where nothing else is known.
 */
import type { Verdict } from "../../shared/dns/blocklists.ts";
import type { Sighting } from "../../shared/stores/listings.ts";

/** Mirrors of a list lag behind each other, so one clean answer says little. */
export const CLEAN_ANSWERS = 3;

export interface Seen {
  /** Undefined when the address is clean. */
  sighting: Sighting | undefined;
  /** What happened with this answer. */
  turn?: "confirmed" | "cleared";
}

/** @param now milliseconds since 1970 */
export function see(known: Sighting | undefined, verdict: Verdict, now: number, confirmAfterInSeconds: number): Seen {
  const at = new Date(now).toISOString();
  if (verdict.state === "unknown") {
    if (verdict.codes === undefined || (known && known.state !== "unmapped")) return { sighting: known };
    return { sighting: { state: "unmapped", codes: verdict.codes, since: known?.since ?? at } };
  }
  const longSince = (time: string): boolean => now - Date.parse(time) >= confirmAfterInSeconds * 1000;
  if (verdict.state === "listed") {
    const { codes } = verdict;
    if (!known || known.state === "unmapped") return { sighting: { state: "suspected", codes, since: at } };
    const { since } = known;
    if (known.state !== "suspected") return { sighting: { state: "listed", codes, since } };
    return longSince(since) ? { sighting: { state: "listed", codes, since }, turn: "confirmed" } : { sighting: known };
  }
  if (!known || known.state === "suspected" || known.state === "unmapped") return { sighting: undefined };
  const { codes, since, clean } = known;
  if (!clean) return { sighting: { state: "clearing", codes, since, clean: { answers: 1, first: at, last: at } } };
  if (!longSince(clean.last)) return { sighting: known };
  if (clean.answers + 1 >= CLEAN_ANSWERS) return { sighting: undefined, turn: "cleared" };
  return { sighting: { state: "clearing", codes, since, clean: { ...clean, answers: clean.answers + 1, last: at } } };
}
