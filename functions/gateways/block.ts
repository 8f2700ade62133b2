/**
 * Microsoft's block of a machine's address, seen in its probes and in what was refused of its mail: two readings that agree ask for a
 * delisting case, once while it lasts. How the case goes on, and when it closes, its own looks at the replies decide.
 */
import type { HeartbeatInput } from "../../shared/api/heartbeat.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { caseIdOf, type Listing } from "../../shared/messages/listing.ts";
import type { Sender } from "../../shared/messages/sender.ts";
import { readReply } from "../../shared/smtp/microsoft-block.ts";
import type { Agent, SeenBlock } from "../../shared/stores/heartbeats.ts";

export interface BlockWorld extends Pick<ApiWorld, "clock" | "log"> {
  stores: Pick<ApiWorld["stores"], "cases" | "gateways">;
  sender: Pick<Sender, "send">;
}

/** After so long without a case of it the message was lost. */
const CASE_MISSING_AFTER_IN_MILLISECONDS = 60 * 60 * 1000;

/** What the machine heard, in the order in which it did: its own look at the door, and what the SMTP service's log has of mail that was refused. */
export function nextBlock(
  known: SeenBlock | undefined,
  { probe, refused }: Pick<HeartbeatInput, "probe" | "refused">,
  now: number,
): SeenBlock | undefined {
  const heard = [...(probe ? [probe] : []), ...(refused ?? []).map(({ reply, lastAt }) => ({ reply, at: lastAt }))];
  return heard
    .toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at))
    .reduce<SeenBlock | undefined>((block, reply) => afterReply(block, reply, now), known);
}

/** Undefined where nothing is known of a block. A reply that says nothing of it changes nothing, and so does one that is told twice. */
function afterReply(
  known: SeenBlock | undefined,
  { reply, at }: { reply: string; at: string },
  now: number,
): SeenBlock | undefined {
  const said = readReply(reply);
  if (said.says === "nothing" || (known && Date.parse(at) <= Date.parse(known.probedAt))) return known;
  if (said.says === "accepted") return undefined;
  const { list, code } = said;
  return known?.list === list
    ? { ...known, code, probedAt: at, agreed: true }
    : { list, code, probedAt: at, since: new Date(now).toISOString() };
}

/**
 * The block as it is to be kept. A message goes out before that is written: who dies in between sends the same again. What can't be told now
 * is told by the next heartbeat; this one is not lost for it.
 */
export async function tellBlock(
  { stores, sender, clock, log }: BlockWorld,
  { partnerId, gatewayId }: Agent,
  block: SeenBlock | undefined,
): Promise<SeenBlock | undefined> {
  const now = clock.now();
  const { toldAt } = block ?? {};
  if (!block?.agreed || (toldAt !== undefined && now - Date.parse(toldAt) < CASE_MISSING_AFTER_IN_MILLISECONDS)) return block;
  const { list, code, since } = block;
  try {
    const gateway = (await stores.gateways.of(partnerId)).find(({ id }) => id === gatewayId);
    if (!gateway) return block;
    const { tenantId, address } = gateway;
    const last = await stores.cases.lastOf({ partnerId, list, address });
    if (!last || (last.state === "closed" && last.listedSince < since)) {
      const listing: Listing = { partnerId, tenantId, list, address, codes: [code], since };
      const id = caseIdOf(listing);
      await sender.send("delisting", { messageId: id, body: listing, correlationId: id });
    }
    return { ...block, toldAt: new Date(now).toISOString() };
  } catch (error) {
    log.warning("a block by Microsoft 365 could not be told yet", { partnerId, gatewayId, list, error });
    return block;
  }
}
