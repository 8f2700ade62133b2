/**
 * Mission F5: when the policy of a tenant leads its mail round gateways that are down, and back. Pure. Down is what somebody knows to be down:
 * what nobody could tell begins nothing, and restores nothing.
 */
import { isDown } from "../../shared/api/gateway.ts";
import { bypassOf } from "../../shared/desired/bypass.ts";
import { isStanding } from "../../shared/desired/target.ts";
import type { GatewayRecord } from "../../shared/stores/gateways.ts";
import type { Outage } from "../../shared/stores/outages.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { type OutagePolicy, outagePolicySchema } from "../../shared/tenants/spec.ts";

/** What is to be done; with a reason that a person can read. */
export type Move = { to: "nothing" } | { to: "bypass" | "restore" | "hold"; reason: string };

/** What was refused, or failed, is tried again after this long. */
export const TRY_AGAIN_IN_MINUTES = 30;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

export type Standing = Pick<TenantRecord, "stage" | "facts"> & { spec: { outage?: OutagePolicy | undefined } };
export type Watched = Pick<GatewayRecord, "id" | "state" | "past">;

const nothing: Move = { to: "nothing" };

export function nextMove(
  tenant: Standing,
  gateways: readonly Watched[],
  outage: Pick<Outage, "bypasses" | "tried" | "heldSince">,
  now: number,
): Move {
  const { spec, stage } = tenant;
  // Who is round its gateways by a policy that the spec no longer names comes back by the policy's own times.
  const policy = spec.outage ?? outagePolicySchema.parse({ mailFlow: "failClosed" });
  if (gateways.length === 0 || !isStanding(tenant)) return nothing;
  const triedLately = (to: "bypass" | "restore"): boolean =>
    outage.tried?.to === to && now - Date.parse(outage.tried.at) < TRY_AGAIN_IN_MINUTES * MINUTE;
  if (stage !== "bypassed") {
    const since = Math.max(...gateways.map(downSince));
    const minutes = Math.floor((now - since) / MINUTE);
    if (policy.mailFlow !== "failOpen" || triedLately("bypass") || !(now - since >= policy.afterInMinutes * MINUTE))
      return nothing;
    const which = gateways.map(({ id, state }) => `${id} is ${state.health} (${state.reason})`).join(", ");
    return { to: "bypass", reason: `no gateway works for ${minutes} minutes: ${which}` };
  }
  // Whom a person led round it, a person leads back.
  if (bypassOf(tenant)?.by !== "policy" || outage.heldSince !== undefined) return nothing;
  const since = Math.max(...gateways.map(({ state }) => (state.health === "healthy" ? Date.parse(state.since) : Number.NaN)));
  if (!(now - since >= policy.restoreAfterInMinutes * MINUTE)) return nothing;
  const times = bypassesOfDay(outage.bypasses, now).length;
  if (times >= policy.bypassesADay)
    return {
      to: "hold",
      reason: `mail was led round the gateways ${times} times in a day; they are well now, and a person has to lead it back`,
    };
  return triedLately("restore")
    ? nothing
    : { to: "restore", reason: `all gateways are well for ${Math.floor((now - since) / MINUTE)} minutes` };
}

export const bypassesOfDay = (bypasses: readonly string[], now: number): string[] =>
  bypasses.filter((at) => now - Date.parse(at) < DAY);

/** Milliseconds since 1970; not a number for one that isn't down. Kinds of down that follow each other are one outage. */
export function downSince({ state, past = [] }: Pick<Watched, "state" | "past">): number {
  if (!isDown(state)) return Number.NaN;
  let { since } = state;
  for (const one of past.toReversed()) {
    if (!isDown({ health: one.health, reason: "" })) break;
    since = one.since;
  }
  return Date.parse(since);
}
