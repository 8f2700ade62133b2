/** What Microsoft 365 replies to a gateway: the only place where its own block list shows. */
import { readReply } from "../../shared/smtp/microsoft-block.ts";
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

/** A reply about something else says nothing. */
export function verdictIn(reply: string): Sight["verdict"] {
  const { says } = readReply(reply);
  return says === "accepted" ? "clean" : says === "blocked" ? "listed" : "unknown";
}
