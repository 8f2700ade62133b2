/** One run of the timer: asks the lists about the addresses that are due, keeps what changed, and tells of it. */
import type { BlocklistZone } from "../../shared/dns/blocklist-zones.ts";
import type { ZoneBatch } from "../../shared/dns/blocklists.ts";
import type { ListHealth, ListingRecord, ListingState } from "../../shared/stores/listings.ts";
import { due, type Moment, WATCHED } from "./due.ts";
import { healthAfter, held, longBlind, resting, tooMany } from "./health.ts";
import { see } from "./sightings.ts";
import { type Outcome, reopened, setConditions, tell } from "./tell.ts";
import type { BlocklistsWorld, EgressAddress } from "./world.ts";

/** What a run knows when it begins. */
interface Run extends Moment {
  world: BlocklistsWorld;
  addresses: EgressAddress[];
  known: Map<string, ListingRecord>;
  healths: Map<string, ListHealth>;
}

/** Nobody's address: range for benchmarks (RFC 2544), which no list has a reason to name. */
const CONTROL = "198.18.0.1";

/** Timer `pollBlocklists`. */
export async function pollBlocklists(world: BlocklistsWorld): Promise<void> {
  const { listings } = world.stores;
  const now = world.clock.now();
  const [addresses, records, healths, last] = await Promise.all([
    world.addresses(),
    listings.all(),
    listings.healths(),
    listings.lastPolledAt(),
  ]);
  const run: Run = {
    world,
    addresses,
    known: new Map(records.map((record) => [keyOf(record), record])),
    healths: new Map(healths.map((one) => [one.list, one])),
    last,
    now,
    fleet: new Set(addresses.map(({ address }) => address)).size,
  };
  const answers = new Map<string, ZoneBatch>();
  for (const batch of await world.blocklists.check((zone) => wanted(run, zone)))
    if (await believed(run, batch)) answers.set(batch.zoneId, batch);
  for (const { id } of world.blocklists.zones) await tellOfLongBlindness(run, id);
  // What is told goes out before a row is written: a run that dies in between tells the same again, under the same ids.
  const outcomes = forgotten(run);
  for (const address of addresses) outcomes.push(await answered(run, address, answers));
  await setConditions(world, outcomes);
  for (const { address, next, changed } of outcomes) if (changed) await listings.change(address, () => next);
  await listings.recordPoll(now);
}

/** Nothing for a list that rests; one that was never asked, or comes out of its rest, is at least tested. */
function wanted(run: Run, zone: BlocklistZone): string[] | undefined {
  const { world, addresses, healths, now } = run;
  const health = healths.get(zone.id);
  if (resting(health, now)) return undefined;
  const these = addresses.filter((one) => {
    const { sightings, past } = stateOf(run, one);
    const { address, since } = one;
    return due({ address, since, sighting: sightings[zone.id], past: past[zone.id] }, zone, run, world.listingPace);
  });
  const unproven = health === undefined || (health.blind !== undefined && !held(health, now));
  return these.length > 0 || unproven ? [...new Set(these.map(({ address }) => address))] : undefined;
}

/** Whether the batch counts; what it says of the list itself is written and told. */
async function believed(run: Run, batch: ZoneBatch): Promise<boolean> {
  const { world, healths, now } = run;
  const { blocklists, listingPace, log, stores } = world;
  const { zoneId: list } = batch;
  const known = healths.get(list);
  const health = batch.health === "ok" ? await suspicion(run, batch) : batch.health;
  await stores.listings.changeHealth(list, (current) => {
    const next = healthAfter(current, health, now, listingPace.pollEveryInSeconds * 1000);
    healths.set(list, { list, ...next });
    return next;
  });
  if (health !== known?.health) {
    const title = blocklists.zones.find(({ id }) => id === list)?.title;
    if (health === "ok") log.information("a blocklist answers as it should", { list, title });
    else log.warning("a blocklist is blind: it neither finds nor clears a listing", { list, title, health });
  }
  return health === "ok";
}

/** A list that passes its own test, but has too many of ours, is tested with an address that is nobody's, and held. */
async function suspicion(run: Run, { zoneId, verdicts }: ZoneBatch): Promise<"ok" | "listsEverything" | "suspicious"> {
  const { world, addresses, fleet, healths, now } = run;
  const zone = world.blocklists.zones.find(({ id }) => id === zoneId);
  if (!zone) return "suspicious";
  const cycle = world.listingPace.pollEveryInSeconds * 1000;
  const [fresh, recent] = [new Set<string>(), new Set<string>()];
  for (const one of addresses) {
    const sighting = stateOf(run, one).sightings[zoneId];
    const counts = sighting?.state === "suspected" || sighting?.state === "listed";
    if (counts && now - Date.parse(sighting.since) < cycle) recent.add(one.address);
    else if (!counts && sighting?.state !== "clearing" && verdicts.get(one.address)?.state === "listed") fresh.add(one.address);
  }
  if (tooMany(zone, { asked: verdicts.size, fresh: fresh.size, recent: recent.size, fleet })) {
    const control = await world.blocklists.checkOne(zoneId, CONTROL);
    return control.state === "clean" || control.state === "unknown" ? "suspicious" : "listsEverything";
  }
  return held(healths.get(zoneId), now) ? "suspicious" : "ok";
}

async function tellOfLongBlindness({ world, healths, now }: Run, list: string): Promise<void> {
  const known = healths.get(list);
  if (!known || !longBlind(known, now)) return;
  const { health, blind } = known;
  world.log.error("a blocklist has been blind for hours: nobody would know of a listing there", {
    list,
    health,
    since: blind?.since,
  });
  await world.stores.listings.changeHealth(list, (current) => {
    const next = current ?? known;
    return { health: next.health, since: next.since, ...(next.blind ? { blind: { ...next.blind, told: true } } : {}) };
  });
}

/** What becomes of an address by the answers about it, and what others are told of it; its row is written afterwards. */
async function answered(run: Run, address: EgressAddress, answers: Map<string, ZoneBatch>): Promise<Outcome> {
  const { world, now } = run;
  const before = stateOf(run, address);
  const next: ListingState = { sightings: { ...before.sightings }, past: { ...before.past } };
  for (const [list, { clearedAt }] of Object.entries(next.past))
    if (now - Date.parse(clearedAt) >= WATCHED) delete next.past[list];
  let turned = false;
  for (const [list, { verdicts }] of answers) {
    const verdict = verdicts.get(address.address);
    if (!verdict) continue;
    const known = { sighting: next.sightings[list], past: next.past[list] };
    let seen = see(known, verdict, now, world.listingPace);
    if (seen.sighting?.state === "listed" && !seen.turn && verdict.state === "listed")
      seen = await reopened(world, address, list, seen, now);
    if (seen.sighting) next.sightings[list] = seen.sighting;
    else delete next.sightings[list];
    if (seen.past) next.past[list] = seen.past;
    if (!seen.turn) continue;
    turned = true;
    await tell(world, address, list, seen, known.sighting);
  }
  return { address, next, turned, changed: JSON.stringify(before) !== JSON.stringify(next) };
}

/** An address that is no gateway's any more is somebody else's concern. */
function forgotten({ addresses, known }: Run): Outcome[] {
  const ours = new Set(addresses.map(keyOf));
  return [...known.values()]
    .filter((record) => !ours.has(keyOf(record)))
    .map((address) => ({ address, next: { sightings: {}, past: {} }, turned: true, changed: true }));
}

const stateOf = ({ known }: Run, address: EgressAddress): ListingState => {
  const { sightings = {}, past = {} } = known.get(keyOf(address)) ?? {};
  return { sightings, past };
};

const keyOf = ({ partnerId, address }: Pick<EgressAddress, "partnerId" | "address">): string => `${partnerId} ${address}`;
