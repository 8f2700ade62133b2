/** What others learn of a listing: its delisting case, the partner's event, the tenant's condition. */
import { caseIdOf, type Listing } from "../../shared/messages/listing.ts";
import type { ListingState, Sighting } from "../../shared/stores/listings.ts";
import type { Seen } from "./sightings.ts";
import type { BlocklistsWorld, EgressAddress } from "./world.ts";

/** What a run made of one address. */
export interface Outcome {
  address: EgressAddress;
  next: ListingState;
  /** Something of it is told. */
  turned: boolean;
  /** Its row is to be written. */
  changed: boolean;
}

export async function tell(
  { stores, sender, blocklists }: BlocklistsWorld,
  address: EgressAddress,
  list: string,
  seen: Seen,
  before: Sighting | undefined,
): Promise<void> {
  const { turn, sighting } = seen;
  const { since, codes } = sighting ?? before ?? { since: "", codes: [] };
  const zone = blocklists.zones.find(({ id }) => id === list);
  const listing: Listing = { ...address, list, codes, since };
  const id = caseIdOf(listing);
  if (turn === "confirmed" && zone?.weight !== "informational")
    await stores.tenants.find(address.partnerId, address.tenantId).then(async (tenant) => {
      if (tenant) await sender.send("delisting", { messageId: id, body: listing, correlationId: id });
    });
  await stores.events.add({
    partnerId: address.partnerId,
    tenantId: address.tenantId,
    // Ids and times are of what is kept, so that a repetition has the same.
    ...eventOf(id.replaceAll(".", "-"), seen, before, since),
    subject: address.address,
    data: { list, title: zone?.title ?? list, weight: zone?.weight, codes },
  });
}

function eventOf(
  id: string,
  { turn, sighting }: Seen,
  before: Sighting | undefined,
  since: string,
): { id: string; type: string; at: string } {
  if (turn === "cleared") return { id: `cleared-${id}`, type: "address.cleared", at: before?.clean?.first ?? since };
  // What comes and goes is told as such, once a day.
  if (sighting?.flapping) {
    const { toldAt } = sighting.flapping;
    return { id: `flapping-${id}-${toldAt.slice(0, 10)}`, type: "address.flapping", at: turn === "confirmed" ? since : toldAt };
  }
  return { id: `confirmed-${id}`, type: "address.listed", at: since };
}

/** Condition `Listed` of the tenants for which something turned, over all of their addresses. */
export async function setConditions({ stores, blocklists }: BlocklistsWorld, outcomes: Outcome[]): Promise<void> {
  const tenants = Map.groupBy(outcomes, ({ address }) => `${address.partnerId} ${address.tenantId}`);
  for (const theirs of tenants.values()) {
    const [one] = theirs;
    if (!one || !theirs.some(({ turned }) => turned)) continue;
    const { partnerId, tenantId } = one.address;
    if (!(await stores.tenants.find(partnerId, tenantId))) continue;
    const listings = theirs.flatMap(({ address, next }) =>
      Object.entries(next.sightings)
        .filter(([, { state }]) => state === "listed" || state === "clearing")
        .map(([list]) => blocklists.zones.find(({ id }) => id === list))
        .filter((zone) => zone !== undefined && zone.weight !== "informational")
        .map((zone) => `${address.address} is on ${zone?.title}`),
    );
    await stores.tenants.setConditions(partnerId, tenantId, [
      listings.length > 0
        ? { type: "Listed", status: "True", reason: "OnBlocklist", message: listings.toSorted().join("; ") }
        : { type: "Listed", status: "False", reason: "NotListed", message: "no blocklist has the gateway's address" },
    ]);
  }
}

/** After so long a listed address without an open case counts as newly listed: its message was lost, or it came back unseen. */
const CASE_MISSING_AFTER = 10;
const LEAST_PATIENCE_IN_SECONDS = 60;

export async function reopened(
  { stores, listingPace }: BlocklistsWorld,
  { partnerId, address }: EgressAddress,
  list: string,
  seen: Seen,
  now: number,
): Promise<Seen> {
  const { sighting } = seen;
  if (!sighting) return seen;
  const patience = 1000 * Math.max(LEAST_PATIENCE_IN_SECONDS, listingPace.confirmAfterInSeconds * CASE_MISSING_AFTER);
  const quietSince = (time: string | undefined): boolean => time === undefined || now - Date.parse(time) > patience;
  if (!quietSince(sighting.since)) return seen;
  const last = await stores.cases.lastOf({ partnerId, list, address });
  if (last && (last.state !== "closed" || !quietSince(last.closedAt))) return seen;
  const since = last ? new Date(now).toISOString() : sighting.since;
  return { ...seen, sighting: { ...sighting, since }, turn: "confirmed" };
}
