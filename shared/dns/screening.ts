/** Asks the blocklists about an address that is to send mail, before it does. */
import type { BlocklistZone } from "./blocklist-zones.ts";
import type { Blocklists } from "./blocklists.ts";

export interface Screened {
  /** Ids of the lists that have it. */
  lists: string[];
  /** The heaviest of these. */
  weight?: BlocklistZone["weight"];
  /** Ids of the lists that can't be believed at present: they say nothing. */
  silent: string[];
  /** How many were asked. */
  asked: number;
}

/** Lists of weight `informational` have whole providers: no address of Azure's would do. */
export const screens = ({ weight }: Pick<BlocklistZone, "weight">): boolean => weight !== "informational";

export async function screened(blocklists: Blocklists, address: string): Promise<Screened> {
  const batches = await blocklists.check((zone) => (screens(zone) ? [address] : undefined));
  const of = (state: "listed" | "unknown"): string[] =>
    batches.flatMap(({ zoneId, verdicts }) => ((verdicts.get(address)?.state ?? "unknown") === state ? [zoneId] : []));
  const lists = of("listed");
  const weights = blocklists.zones.flatMap(({ id, weight }) => (lists.includes(id) ? [weight] : []));
  const weight = heaviestFirst.find((one) => weights.includes(one));
  return { lists, ...(weight && { weight }), silent: of("unknown"), asked: batches.length };
}

const heaviestFirst = ["critical", "high", "medium", "low", "informational"] as const satisfies BlocklistZone["weight"][];
