/** What Microsoft 365 replies to a gateway: the only place where its own block list shows. */
import type { CaseRecord } from "../../shared/stores/cases.ts";
import type { Sight } from "./decide.ts";
import { gatewayAt } from "./evidence.ts";
import type { DelistingWorld } from "./world.ts";

/** Of the last heartbeat; each reply counts for the time at which the machine got it. */
export async function repliesOf(
  world: Pick<DelistingWorld, "stores" | "clock">,
  known: CaseRecord,
): Promise<Omit<Sight, "released">> {
  const gateway = await gatewayAt(world, known);
  const beat = gateway && (await world.stores.heartbeats.find(known.partnerId, gateway.id));
  const { probe } = beat?.last ?? {};
  return probe
    ? { verdict: verdictIn(probe.reply), seenAt: Date.parse(probe.at) }
    : { verdict: "unknown", seenAt: world.clock.now() };
}

/** The enhanced code first, then the words (Exchange Online's table of non-delivery reports). A reply about something else says nothing. */
export function verdictIn(reply: string): Sight["verdict"] {
  if (/^2\d\d\b/.test(reply)) return "clean";
  if (/\b5\.7\.(511|60[6-9]|6[1-4]\d)\b/.test(reply)) return "listed";
  return /\b5\.7\.1\b.*(delist@microsoft\.com|blocked using blocklist)/i.test(reply) ? "listed" : "unknown";
}
