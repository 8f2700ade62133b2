/**
 * A fleet on ten lists of which eight go bad and come back, over real UDP through the real timer. Each run's outcome is held against what
 * the lists would say if they were honest.
 */
import { pollBlocklists } from "../../functions/blocklists/poll.ts";
import type { Clock } from "../../shared/clock.ts";
import { createCaseStore } from "../../shared/stores/cases.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createListingStore } from "../../shared/stores/listings.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { memoryStorage } from "./memory-storage.ts";
import { listingTest, testZone } from "./blocklists.ts";
import { type Behaviour, type FaultDns, startFaultDns } from "./fault-dns.ts";
import { createRandom } from "./random.ts";

/** Those that the timer asks for, at once, so that a play takes the time of its questions. */
function storesInMemory(clock: Clock): Stores {
  const storage = memoryStorage();
  return {
    tenants: createTenantStore(storage, clock),
    listings: createListingStore(storage),
    cases: createCaseStore(storage, clock),
    events: createEventStore(storage),
  } as Stores;
}

export const FAULTS: Behaviour[] = ["dead", "everything", "127.255.255.254", "servfail", "refused", "parked", "nothing", "lossy"];
/** Those that go bad, in the order of their faults, and two that never do. */
export const LISTS = [...FAULTS.map((_, index) => `bad${index}`), "good8", "good9"];
const MINUTE = 60_000;

export interface ChaosOptions {
  addresses: number;
  seed: number;
  latencyInMilliseconds: number;
  timeoutInSeconds: number;
  /** In which each address is asked about once. */
  cycleInMinutes: number;
}

export interface Chaos {
  dns: FaultDns;
  /** A run a minute, for so many minutes. */
  pass(minutes: number): Promise<void>;
  /** Time without a run. */
  skip(minutes: number): void;
  /** Puts an address on a list, or takes it off. */
  change(list: string, address: string, listed: boolean): void;
  behave(list: string, behaviour: Behaviour): void;
  /** Said of addresses that are not listed, and have not been in the whole play. */
  wrongListed(): Promise<string[]>;
  /** Not said, or not any more, of addresses that have been listed for so many minutes or more. */
  wrongClean(minutes: number): Promise<string[]>;
  /** `address list state` of everything that is known. */
  known(): Promise<string[]>;
  /** Messages to the delisting queue so far. */
  cases(): number;
  addresses: string[];
  stop(): Promise<void>;
}

/** What went wrong in a play of all: established, eight of ten go bad for longer than a cycle, and come back. */
export async function playChaos(options: ChaosOptions): Promise<{ wrongListed: string[]; wrongClean: string[]; cases: number }> {
  const chaos = await startChaos(options);
  const { pass, wrongListed, wrongClean, addresses } = chaos;
  const wrong = { wrongListed: new Set<string>(), wrongClean: new Set<string>() };
  const judge = async (minutes: number) => {
    for (const one of await wrongListed()) wrong.wrongListed.add(one);
    for (const one of await wrongClean(minutes)) wrong.wrongClean.add(one);
  };
  try {
    // The first run asks about everything, the second confirms.
    await pass(3);
    await judge(2);
    for (const [index, behaviour] of FAULTS.entries()) chaos.behave(LISTS[index] ?? "", behaviour);
    // A new listing on an honest list is found although the others are bad.
    for (const address of addresses.slice(0, 3)) chaos.change("good9", address, true);
    for (let minute = 0; minute < options.cycleInMinutes + 2; minute += 1) {
      await pass(1);
      await judge(options.cycleInMinutes + 2);
    }
    for (const list of LISTS) chaos.behave(list, "honest");
    // The longest rest, in which the timer does not run either.
    chaos.skip(60);
    await pass(3);
    await judge(60);
    return { wrongListed: [...wrong.wrongListed], wrongClean: [...wrong.wrongClean], cases: chaos.cases() };
  } finally {
    await chaos.stop();
  }
}

/** About one in fifty is on each list from the beginning. */
export async function startChaos(options: ChaosOptions): Promise<Chaos> {
  const random = createRandom(options.seed);
  const addresses = Array.from({ length: options.addresses }, (_, index) => `198.51.${index >> 8}.${index & 255}`);
  const dns = await startFaultDns(options.latencyInMilliseconds, random);
  let now = Date.UTC(2030, 0, 1);
  const clock = { now: () => now };
  /** Who is or was listed, by list and address, and since when that is so. */
  const truth = new Map(LISTS.map((list): [string, Map<string, { listed: boolean; since: number }>] => [list, new Map()]));
  const change = (list: string, address: string, listed: boolean) => truth.get(list)?.set(address, { listed, since: now });
  for (const list of LISTS) {
    for (const address of addresses) if (random() < 0.02) change(list, address, true);
    dns.zones.set(`${list}.lists.example`, {
      behaviour: "honest",
      lists: (address) => truth.get(list)?.get(address)?.listed === true,
    });
  }
  const { world, partnerId, sent } = await listingTest(
    { environment: { dnsServers: dns.servers } },
    clock,
    LISTS.map((id) => testZone(id)),
    addresses,
    { timeoutInSeconds: options.timeoutInSeconds, queriesPerSecond: 100_000, stores: storesInMemory(clock) },
  );
  world.listingPace = { confirmAfterInSeconds: 60, pollEveryInSeconds: options.cycleInMinutes * 60 };

  const sightings = async () =>
    (await world.stores.listings.of(partnerId)).flatMap(({ address, sightings: all }) =>
      Object.entries(all).map(([list, { state }]) => ({ address, list, state })),
    );
  return {
    dns,
    addresses,
    change,
    pass: async (minutes) => {
      for (let minute = 0; minute < minutes; minute += 1) {
        await pollBlocklists(world);
        now += MINUTE;
      }
    },
    skip: (minutes) => {
      now += minutes * MINUTE;
    },
    behave: (list, behaviour) => {
      const zone = dns.zones.get(`${list}.lists.example`);
      if (zone) zone.behaviour = behaviour;
    },
    wrongListed: async () =>
      (await sightings())
        .filter(({ address, list }) => !truth.get(list)?.has(address))
        .map(({ address, list, state }) => `${address} ${list} ${state}`),
    wrongClean: async (minutes) => {
      const said = new Set((await sightings()).map(({ address, list, state }) => `${address} ${list} ${state}`));
      return [...truth].flatMap(([list, entries]) =>
        [...entries]
          .filter(
            ([address, { listed, since }]) => listed && now - since >= minutes * MINUTE && !said.has(`${address} ${list} listed`),
          )
          .map(([address]) => `${address} ${list}`),
      );
    },
    known: async () => (await sightings()).map(({ address, list, state }) => `${address} ${list} ${state}`).toSorted(),
    cases: () => sent.length,
    stop: () => dns.stop(),
  };
}
