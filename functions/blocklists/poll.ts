/** One run of the timer: asks the lists about the addresses that are due, keeps what changed, and tells of it. */
import type { BlocklistZone } from "../../shared/dns/blocklist-zones.ts";
import type { ZoneBatch } from "../../shared/dns/blocklists.ts";
import { caseIdOf, type Listing } from "../../shared/messages/listing.ts";
import type { ListingRecord, Sighting } from "../../shared/stores/listings.ts";
import { due } from "./due.ts";
import { type Seen, see } from "./sightings.ts";
import type { BlocklistsWorld, EgressAddress } from "./world.ts";

/** Timer `pollBlocklists`. */
export async function pollBlocklists(world: BlocklistsWorld): Promise<void> {
  const { blocklists, clock, listingPace: pace } = world;
  const { listings } = world.stores;
  const now = clock.now();
  const [addresses, known, last] = await Promise.all([world.addresses(), listings.all(), listings.lastPolledAt()]);
  const sightingsOf = new Map(known.map((record) => [keyOf(record), record.sightings]));
  const sightingOf = (address: EgressAddress, list: string): Sighting | undefined => sightingsOf.get(keyOf(address))?.[list];

  const batches = await blocklists.check((zone) => [
    ...new Set(
      addresses.filter((one) => due(one.address, sightingOf(one, zone.id), last, now, pace)).map(({ address }) => address),
    ),
  ]);
  const answers = new Map<string, ZoneBatch>();
  for (const batch of batches) {
    const zone = zoneOf(world, batch.zoneId);
    const fresh = addresses.filter(
      (one) =>
        batch.verdicts.get(one.address)?.state === "listed" &&
        (sightingOf(one, batch.zoneId)?.state ?? "unmapped") === "unmapped",
    );
    const suspicious = zone?.weight !== "informational" && tooMany(fresh.length, addresses.length);
    await recordHealth(world, batch.zoneId, suspicious ? "suspicious" : batch.health, now);
    if (batch.health === "ok" && !suspicious) answers.set(batch.zoneId, batch);
  }
  for (const address of addresses) await keep(world, address, sightingsOf.get(keyOf(address)) ?? {}, answers, now);
  await forgetGone(world, known, addresses);
  await listings.recordPoll(now);
}

/**
 * A list that has more than a twentieth of the fleet at once is wrong, or closing, even if it answers its test entries: its new listings
 * are held back. Of a small fleet a few may well be listed together.
 */
const tooMany = (fresh: number, fleet: number): boolean => fresh >= 5 && fresh > fleet / 20;

async function recordHealth(
  { stores, log }: BlocklistsWorld,
  list: string,
  health: Parameters<typeof stores.listings.recordHealth>[1],
  now: number,
): Promise<void> {
  const changed = await stores.listings.recordHealth(list, health, new Date(now).toISOString());
  if (!changed) return;
  if (health === "ok") log.information("a blocklist answers as it should", { list });
  else log.warning("a blocklist is blind: it neither finds nor clears a listing", { list, health });
}

/** What is told goes out before the row is written: a run that dies in between tells the same again, under the same ids. */
async function keep(
  world: BlocklistsWorld,
  address: EgressAddress,
  known: Record<string, Sighting>,
  answers: Map<string, ZoneBatch>,
  now: number,
): Promise<void> {
  const { confirmAfterInSeconds } = world.listingPace;
  const next: Record<string, Sighting> = { ...known };
  let turned = false;
  for (const [list, { verdicts }] of answers) {
    const verdict = verdicts.get(address.address);
    if (!verdict) continue;
    let seen: Seen = see(known[list], verdict, now, confirmAfterInSeconds);
    if (seen.sighting?.state === "listed" && !seen.turn && verdict.state === "listed")
      seen = await reopened(world, address, list, seen, now);
    if (seen.sighting) next[list] = seen.sighting;
    else delete next[list];
    if (seen.turn) {
      turned = true;
      await tell(world, address, list, seen, known[list]);
    }
  }
  if (turned) await setCondition(world, address, next);
  if (JSON.stringify(known) !== JSON.stringify(next)) await world.stores.listings.change(address, () => next);
}

/** After so long a listed address without an open case counts as newly listed: its message was lost, or it came back unseen. */
const CASE_MISSING_AFTER = 10;
const LEAST_PATIENCE_IN_SECONDS = 60;

async function reopened(
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
  return { sighting: { ...sighting, since }, turn: "confirmed" };
}

async function tell(
  { stores, sender, blocklists }: BlocklistsWorld,
  address: EgressAddress,
  list: string,
  { turn, sighting }: Seen,
  before: Sighting | undefined,
): Promise<void> {
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
    id: `${turn}-${id.replaceAll(".", "-")}`,
    type: turn === "confirmed" ? "address.listed" : "address.cleared",
    subject: address.address,
    // Of times that are kept, so that a repetition has the same.
    at: turn === "confirmed" ? since : (before?.clean?.first ?? since),
    data: { list, title: zone?.title ?? list, weight: zone?.weight, codes },
  });
}

/** Condition `Listed` of the tenant, over all of its addresses. */
async function setCondition(
  { stores, blocklists }: BlocklistsWorld,
  { partnerId, tenantId, address }: EgressAddress,
  next: Record<string, Sighting>,
): Promise<void> {
  if (!(await stores.tenants.find(partnerId, tenantId))) return;
  const others = (await stores.listings.of(partnerId)).filter(
    (record) => record.tenantId === tenantId && record.address !== address,
  );
  const listings = [...others, { address, sightings: next }].flatMap((record) =>
    Object.entries(record.sightings)
      .filter(([, { state }]) => state === "listed" || state === "clearing")
      .map(([list]) => ({ address: record.address, zone: blocklists.zones.find(({ id }) => id === list) }))
      .filter(({ zone }) => zone !== undefined && zone.weight !== "informational")
      .map((one) => `${one.address} is on ${one.zone?.title}`),
  );
  await stores.tenants.setConditions(partnerId, tenantId, [
    listings.length > 0
      ? { type: "Listed", status: "True", reason: "OnBlocklist", message: listings.toSorted().join("; ") }
      : { type: "Listed", status: "False", reason: "NotListed", message: "no blocklist has the gateway's address" },
  ]);
}

/** An address that is no gateway's any more is somebody else's concern. */
async function forgetGone(world: BlocklistsWorld, known: ListingRecord[], addresses: EgressAddress[]): Promise<void> {
  const ours = new Set(addresses.map(keyOf));
  for (const record of known) {
    if (ours.has(keyOf(record))) continue;
    await setCondition(world, record, {});
    await world.stores.listings.change(record, () => ({}));
  }
}

const keyOf = ({ partnerId, address }: Pick<EgressAddress, "partnerId" | "address">): string => `${partnerId} ${address}`;

const zoneOf = ({ blocklists }: BlocklistsWorld, list: string): BlocklistZone | undefined =>
  blocklists.zones.find(({ id }) => id === list);
