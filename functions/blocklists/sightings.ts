/**
 * From answers to listings: two sightings some time apart make one, three clean answers some time apart end it, unknown moves nothing. A code
 * that nobody mapped is shown where nothing else is known. Who comes and goes flaps, and has to be clean for a day.
 */
import type { Verdict } from "../../shared/dns/blocklist-answers.ts";
import type { Past, Sighting } from "../../shared/stores/listings.ts";
import { patienceOf } from "./due.ts";
import type { ListingPace } from "./world.ts";

/** Mirrors of a list lag behind each other, so one clean answer says little. */
export const CLEAN_ANSWERS = 3;
const DAY = 24 * 60 * 60 * 1000;
/** Listed again so often within a day. */
const FLAPS = 2;

export interface Known {
  /** Undefined when the address is clean. */
  sighting?: Sighting | undefined;
  past?: Past | undefined;
}

export interface Seen extends Known {
  /** What happened with this answer, where it is to be told. */
  turn?: "confirmed" | "flapping" | "cleared";
}

/** @param now milliseconds since 1970 */
export function see(known: Known, verdict: Verdict, now: number, pace: Pick<ListingPace, "confirmAfterInSeconds">): Seen {
  if (verdict.state === "listed") return seeListed(known, verdict, now, pace);
  if (verdict.state === "clean") return seeClean(known, now, pace);
  const { sighting, past } = known;
  if (verdict.codes === undefined || (sighting && sighting.state !== "unmapped")) return known;
  return { sighting: { state: "unmapped", codes: verdict.codes, since: sighting?.since ?? timeOf(now) }, past };
}

function seeListed(
  { sighting: known, past }: Known,
  { codes, ttlInSeconds }: Extract<Verdict, { state: "listed" }>,
  now: number,
  pace: Pick<ListingPace, "confirmAfterInSeconds">,
): Seen {
  const at = timeOf(now);
  const answer = { codes, at, ...(ttlInSeconds === undefined ? {} : { ttlInSeconds }) };
  if (!known || known.state === "unmapped") return { sighting: { ...answer, state: "suspected", since: at }, past };
  const { since, relistings, flapping } = known;
  if (known.state === "suspected") {
    if (now - Date.parse(known.at ?? since) < patienceOf(known, pace)) return { sighting: known, past };
    const recent = [...(past?.relistings ?? []), ...(past && now - Date.parse(past.clearedAt) < DAY ? [at] : [])].filter(
      (time) => now - Date.parse(time) < DAY,
    );
    return {
      sighting: {
        ...answer,
        state: "listed",
        since,
        ...(recent.length > 0 ? { relistings: recent } : {}),
        ...(recent.length >= FLAPS ? { flapping: { toldAt: at } } : {}),
      },
      past,
      turn: "confirmed",
    };
  }
  if (known.state === "listed" && known.codes.join() === codes.join()) return { sighting: known, past };
  const tellAgain = known.state === "clearing" && flapping !== undefined && now - Date.parse(flapping.toldAt) >= DAY;
  return {
    sighting: {
      ...answer,
      state: "listed",
      since,
      ...(relistings ? { relistings } : {}),
      ...(flapping ? { flapping: tellAgain ? { toldAt: at } : flapping } : {}),
    },
    past,
    ...(tellAgain ? { turn: "flapping" } : {}),
  };
}

function seeClean({ sighting: known, past }: Known, now: number, pace: Pick<ListingPace, "confirmAfterInSeconds">): Seen {
  if (!known || known.state === "suspected" || known.state === "unmapped") return { past };
  const at = timeOf(now);
  const { clean } = known;
  if (!clean) return { sighting: { ...known, state: "clearing", clean: { answers: 1, first: at, last: at } }, past };
  if (now - Date.parse(clean.last) < patienceOf(known, pace)) return { sighting: known, past };
  const answers = clean.answers + 1;
  if (answers < CLEAN_ANSWERS) return { sighting: { ...known, clean: { ...clean, answers, last: at } }, past };
  if (known.flapping && now - Date.parse(clean.first) < DAY) return { sighting: known, past };
  return {
    past: { clearedAt: at, ...(known.relistings ? { relistings: known.relistings } : {}) },
    turn: "cleared",
  };
}

const timeOf = (now: number): string => new Date(now).toISOString();
