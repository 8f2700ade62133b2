/** GET /api/gateways/{gatewayId}/history: how a gateway was, from the states that sweeps found and what the machine said. */
import type { Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { type Health, type HistoryPoint, MOST_HISTORY_POINTS, type Resolution } from "../../shared/api/gateway.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf, partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { GatewayRecord, PastState } from "../../shared/stores/gateways.ts";
import type { HeartbeatRecord } from "../../shared/stores/heartbeats.ts";
import { HOURLY_READINGS_IN_DAYS, type WorstReading, worstBySlot } from "../../shared/stores/hourly-readings.ts";
import { byWorst } from "./health.ts";

export const getGatewayHistory =
  ({ stores, signer, clock }: ApiWorld): Handler<"getGatewayHistory"> =>
  async ({ caller, params, query, url }) => {
    const partnerId = partnerInScope(caller, query.partnerId);
    const paging = { signer, url, audience: audienceOf(caller) };
    const { maxpagesize = MOST_HISTORY_POINTS, skipToken } = query;
    const { pageSize, after } = await parsePage({ maxpagesize, skipToken }, paging);
    const gateway = await stores.gateways.get(partnerId, params.gatewayId);
    const now = clock.now();
    const window = after === undefined ? windowOf(query, now) : windowAt(after);
    const points = pointsOf(gateway, await stores.heartbeats.find(partnerId, gateway.id), window, now);
    const next = points[pageSize]?.at;
    const page = {
      items: points.slice(0, pageSize),
      ...(next === undefined ? {} : { next: JSON.stringify({ ...window, begin: Date.parse(next) }) }),
    };
    const { resolution, from, to } = window;
    const shown = { resolution, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
    return { body: { ...shown, ...(await pageBody(page, (point) => point, paging)) } };
  };

export interface Window {
  resolution: Resolution;
  /** At a slot's beginning. */
  from: number;
  /** Not included. */
  to: number;
  /** Where this page begins. */
  begin: number;
}

const HOUR_IN_MILLISECONDS = 3600 * 1000;

interface Scale {
  slot: number;
  reach: number;
  kept: string;
}

const scales: Record<Resolution, Scale> = {
  PT10M: { slot: HOUR_IN_MILLISECONDS / 6, reach: 24 * HOUR_IN_MILLISECONDS, kept: "24 hours; with resolution PT1H, 90 days" },
  PT1H: {
    slot: HOUR_IN_MILLISECONDS,
    reach: HOURLY_READINGS_IN_DAYS * 24 * HOUR_IN_MILLISECONDS,
    kept: `${HOURLY_READINGS_IN_DAYS} days`,
  },
};

interface Wanted {
  resolution?: Resolution | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

/** What is asked for, from a slot's beginning; refuses what is longer ago than anything is kept, and what is no stretch of time. */
export function windowOf({ resolution: named, from, to }: Wanted, now: number): Window {
  const end = Math.min(to === undefined ? now : Date.parse(to), now);
  const begin = from === undefined ? undefined : Date.parse(from);
  const resolution = named ?? ((begin ?? end - 1) >= oldestOf("PT10M", now) ? "PT10M" : "PT1H");
  const { slot, reach, kept } = scales[resolution];
  const beginningOf = (time: number): number => Math.floor(time / slot) * slot;
  const oldest = oldestOf(resolution, now);
  const first = beginningOf(begin ?? Math.max(beginningOf(end - 1) + slot - reach, oldest));
  if (begin !== undefined && begin >= now) throw invalid("from", "must be before now");
  if (begin !== undefined && begin < oldest) throw invalid("from", `must be within what is kept: ${kept}`);
  if ((begin ?? oldest) >= end)
    throw invalid("to", begin === undefined ? `must be within what is kept: ${kept}` : "must be after from");
  return { resolution, from: first, to: end, begin: first };
}

/** A moment passes between question and answer: a slot more. */
function oldestOf(resolution: Resolution, now: number): number {
  const { slot, reach } = scales[resolution];
  return Math.floor((now - reach) / slot) * slot - slot;
}

const invalid = (target: string, message: string) =>
  refusal("InvalidRequest", "the query has invalid fields", { details: [{ code: "InvalidField", target, message }] });

/** Of a link that we signed ourselves. */
const windowAt = (after: string): Window => JSON.parse(after) as Window;

/** From where the page begins until the window's end. */
export function pointsOf(
  { state, past = [] }: Pick<GatewayRecord, "state" | "past">,
  record: Pick<HeartbeatRecord, "readings" | "hours"> | undefined,
  { resolution, begin, to }: Window,
  now: number,
): HistoryPoint[] {
  const { slot } = scales[resolution];
  const states = lasting([...past, state]);
  const readings = new Map(readingsBy(resolution, record).map((one) => [Date.parse(one.at), one]));
  const points: HistoryPoint[] = [];
  for (let at = begin; at < to; at += slot) {
    const health = worstWithin(states, at, Math.min(at + slot, now));
    const reading = readings.get(at);
    points.push({
      ...(reading ?? { at: new Date(at).toISOString(), queue: null, badmail: null, oldestAgeInSeconds: null }),
      ...(health === undefined ? {} : { health }),
      reported: reading !== undefined,
    });
  }
  return points;
}

/** Hours that are over are kept apart; those since the last of them are in the day's readings. */
function readingsBy(
  resolution: Resolution,
  { readings, hours }: Pick<HeartbeatRecord, "readings" | "hours"> = { readings: [], hours: () => [] },
): WorstReading[] {
  const plain = readings.map(({ reply: _reply, ...reading }) => reading);
  const bySlot = worstBySlot(plain, scales[resolution].slot);
  if (resolution === "PT10M") return bySlot;
  const ended = hours();
  const last = ended.at(-1);
  return [...ended, ...bySlot.filter(({ at }) => last === undefined || at > last.at)];
}

interface Lasting {
  health: Health;
  from: number;
  to: number;
}

/** A state lasts until the next one begins. */
const lasting = (states: readonly PastState[]): Lasting[] =>
  states.map(({ health, since }, index) => ({
    health,
    from: Date.parse(since),
    to: Date.parse(states[index + 1]?.since ?? "9999-12-31"),
  }));

const worstWithin = (states: readonly Lasting[], from: number, to: number): Health | undefined =>
  states
    .filter((one) => one.from < to && one.to > from)
    .map(({ health }) => health)
    .toSorted(byWorst)[0];
