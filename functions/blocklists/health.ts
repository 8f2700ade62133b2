/** Whether a list can be believed: one that fails is left alone longer and longer, one that has too many of ours at once is held. */
import type { BlocklistZone } from "../../shared/dns/blocklist-zones.ts";
import type { ListHealth } from "../../shared/stores/listings.ts";

const MINUTE = 60_000;
/** After the first, second, third and each further failure in a row; then its test entries decide. */
const REST = [1, 5, 15, 60].map((minutes) => minutes * MINUTE);
/** Timers are not exact, and half a minute early is better than a minute late. */
const SLACK = MINUTE / 2;
/** A list that neither finds nor clears anything for so long is a gap that somebody has to know of. */
const BLIND_FOR_LONG = 6 * 60 * MINUTE;

/** Once the test entries are answered again, a list is believed again. */
export const resting = (known: ListHealth | undefined, now: number): boolean => isLater(known?.blind?.askAgainAt, now);

export const held = (known: ListHealth | undefined, now: number): boolean => isLater(known?.blind?.heldUntil, now);

export const longBlind = ({ blind }: ListHealth, now: number): boolean =>
  blind !== undefined && blind.told !== true && now - Date.parse(blind.since) >= BLIND_FOR_LONG;

/** @param cycle milliseconds in which each address is asked about once: so long a suspicious list is held */
export function healthAfter(
  known: ListHealth | undefined,
  health: ListHealth["health"],
  now: number,
  cycle: number,
): Omit<ListHealth, "list"> {
  const at = new Date(now).toISOString();
  const since = known?.health === health ? known.since : at;
  if (health === "ok") return { health, since };
  const { failures = 0, heldUntil, since: blindSince = at, told } = known?.blind ?? {};
  const common = { since: blindSince, ...(told ? { told } : {}) };
  if (health === "suspicious") {
    // Said again and again while it lasts, written now and then.
    const until = isLater(heldUntil, now + cycle / 2) ? heldUntil : new Date(now + cycle).toISOString();
    return { health, since, blind: { ...common, failures: 0, ...(until === undefined ? {} : { heldUntil: until }) } };
  }
  const rest = REST[Math.min(failures, REST.length - 1)] ?? 0;
  const askAgainAt = new Date(now + rest - SLACK).toISOString();
  return { health, since, blind: { ...common, failures: failures + 1, askAgainAt } };
}

/** What one batch of a list found. */
export interface Finds {
  /** Addresses that were asked about. */
  asked: number;
  /** Of them, those that it has now and had not before. */
  fresh: number;
  /** Other addresses that it has had for less than a cycle. */
  recent: number;
  fleet: number;
}

/**
 * A list that has more than a twentieth of those asked about, or of the fleet within a cycle, is wrong, or closing, even if it answers its
 * test entries. Of a small fleet a few may well be listed together.
 */
export const tooMany = ({ weight }: Pick<BlocklistZone, "weight">, { asked, fresh, recent, fleet }: Finds): boolean =>
  weight !== "informational" &&
  fresh > 0 &&
  ((fresh >= 5 && fresh > asked / 20) || (fresh + recent >= 5 && fresh + recent > fleet / 20));

const isLater = (time: string | undefined, now: number): boolean => time !== undefined && Date.parse(time) > now;
