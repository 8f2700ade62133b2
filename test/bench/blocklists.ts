/**
 * `npm run bench -- blocklists`: questions to the ten lists that are known here, beside those needed and a fixed poll each half hour; and
 * answers a second beside a bare UDP client with as many questions in flight. Real questions over UDP on loopback.
 */
import { createSocket } from "node:dgram";
import { decode, encode, RECURSION_DESIRED } from "dns-packet";
import { pollBlocklists } from "../../functions/blocklists/poll.ts";
import { WATCHED } from "../../functions/blocklists/due.ts";
import type { BlocklistsWorld, EgressAddress } from "../../functions/blocklists/world.ts";
import { queryName } from "../../shared/dns/blocklist-answers.ts";
import { definitions } from "../../shared/dns/blocklist-definitions.ts";
import { type BlocklistZone, blocklistZonesSchema } from "../../shared/dns/blocklist-zones.ts";
import { type Blocklists, createBlocklists } from "../../shared/dns/blocklists.ts";
import { createLog } from "../../shared/log.ts";
import { createCaseStore } from "../../shared/stores/cases.ts";
import { createEventStore } from "../../shared/stores/events.ts";
import { createListingStore } from "../../shared/stores/listings.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import { type FaultDns, startFaultDns } from "../support/fault-dns.ts";
import { memoryStorage } from "../support/memory-storage.ts";
import { createRandom } from "../support/random.ts";
import { type BenchmarkOptions, inTurns, type Print, ratios, row, spread } from "./rounds.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** In which all but the lists for information are asked about every settled address once. */
const PLAYED_IN_HOURS = 4;
const NAIVE_EVERY_IN_HOURS = 0.5;
/** Of a thousand addresses: those that came this week, and those that a list has, each on one of them. */
const NEW = 10;
const LISTED = 5;
const LATENCY_IN_MILLISECONDS = 20;
/** A lane for each list. */
const LANE_WIDTH = 8;
const WIDTH = 12;

/** All that are known, the keyed ones with a key. */
const zones = blocklistZonesSchema.parse(
  definitions.map((zone) =>
    zone.zone.includes("{key}") ? { ...zone, key: { vaultUrl: "https://vault.example", name: zone.id, version: "1" } } : zone,
  ),
);
const KEY = "key";
const nameOf = ({ zone }: BlocklistZone): string => zone.replace("{key}.", "");

const addressesOf = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `198.${18 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`);

export async function blocklists({ print, brief }: BenchmarkOptions): Promise<void> {
  await plan(print, brief ? [100] : [100, 1000, 10_000], brief ? 0.5 : PLAYED_IN_HOURS);
  print("");
  await throughput(print, brief ? 20 : 1000, brief ? 1 : 9);
}

/** The real timer, a run a minute in virtual time. */
async function plan(print: Print, sizes: number[], hours: number): Promise<void> {
  const played = new Map<number, Awaited<ReturnType<typeof playDay>>>();
  for (const size of sizes) played.set(size, await playDay(size, hours));
  const line = (name: string, cell: (one: Awaited<ReturnType<typeof playDay>>) => string) =>
    print(row(WIDTH, name, ...[...played.values()].map(cell)));
  print(`Questions to ${zones.length} lists in ${hours} hours: ${NEW / 10} % of the addresses are new, ${LISTED / 10} % listed`);
  print(row(WIDTH, "addresses", ...sizes.map(String)));
  line("needed", ({ needed }) => String(needed));
  line("sent, tests of the lists included", ({ sent }) => String(sent));
  line("sent / needed", ({ needed, sent }) => (sent / needed).toFixed(2));
  line("a poll of all each half hour", ({ naive }) => String(naive));
  line("sent / that poll", ({ naive, sent }) => `${((100 * sent) / naive).toFixed(1)} %`);
  print(row(WIDTH, "goal", ...sizes.map((size) => (size === 10_000 ? "<= 10 %" : ""))));
  line("most to one list, a day", ({ mostOfOne }) => String(Math.round((mostOfOne * 24) / hours)));
  line("wrong verdicts", ({ wrong }) => String(wrong));
}

async function playDay(size: number, hours: number) {
  const dns = await startFaultDns();
  const random = createRandom(7);
  let now = Date.UTC(2030, 0, 1);
  const clock = { now: () => now };
  const storage = memoryStorage();
  const stores = {
    tenants: createTenantStore(storage, clock),
    listings: createListingStore(storage),
    cases: createCaseStore(storage, clock),
    events: createEventStore(storage),
  };
  const [partnerId, tenantId] = ["northwind", "contoso"];
  await stores.tenants.add(partnerId, tenantId, { displayName: tenantId } as TenantSpec);
  const addresses = addressesOf(size);
  const chosen = (share: number): string[] => addresses.filter(() => random() < share / 1000);
  const fresh = new Set(chosen(NEW));
  const listed = new Map(chosen(LISTED).map((address) => [address, zones[Math.floor(random() * zones.length)]?.id]));
  for (const zone of zones)
    dns.zones.set(nameOf(zone), { behaviour: "honest", lists: (address) => listed.get(address) === zone.id });
  const fleet: EgressAddress[] = addresses.map((address) => ({
    partnerId,
    tenantId,
    address,
    since: new Date(now - (fresh.has(address) ? 0 : 2 * WATCHED)).toISOString(),
  }));
  let needed = 0;
  const lists = listsAt(dns);
  const counting: Blocklists = {
    ...lists,
    check: async (wanted) => {
      const batches = await lists.check(wanted);
      for (const { verdicts } of batches) needed += verdicts.size;
      return batches;
    },
  };
  const world = {
    stores,
    clock,
    log: createLog("error", () => undefined),
    blocklists: counting,
    addresses: () => Promise.resolve(fleet),
    sender: { send: () => Promise.resolve() },
    listingPace: { confirmAfterInSeconds: 60, pollEveryInSeconds: 3600 },
  } as unknown as BlocklistsWorld;
  const pass = async (minutes: number) => {
    for (let minute = 0; minute < minutes; minute += 1) {
      await pollBlocklists(world);
      now += MINUTE;
    }
  };
  try {
    // The first run asks about everything, the next ones confirm what was found.
    await pass(10);
    needed = 0;
    dns.asked.clear();
    await pass((hours * HOUR) / MINUTE);
    const said = (await stores.listings.of(partnerId)).flatMap(({ address, sightings }) =>
      Object.entries(sightings).map(([list, { state }]) => `${address} ${list} ${state}`),
    );
    const truth = [...listed].map(([address, list]) => `${address} ${list} listed`);
    const right = new Set(truth.filter((one) => said.includes(one)));
    const counts = [...dns.asked.values()];
    return {
      needed,
      sent: counts.reduce((sum, count) => sum + count, 0),
      naive: (size * zones.length * hours) / NAIVE_EVERY_IN_HOURS,
      mostOfOne: Math.max(...counts),
      wrong: said.length + truth.length - 2 * right.size,
    };
  } finally {
    await dns.stop();
  }
}

/** Without the limit of questions a second, which is there for Azure's own name server. */
const listsAt = ({ servers }: FaultDns): Blocklists =>
  createBlocklists({ servers, zones, readKey: () => Promise.resolve(KEY), queriesPerSecond: 1_000_000 });

/** Other addresses in each round, on every list, by us and by a client that does nothing else. */
async function throughput(print: Print, size: number, rounds: number): Promise<void> {
  const dns = await startFaultDns(LATENCY_IN_MILLISECONDS);
  const all = addressesOf(size * (rounds + 1));
  const isListed = (address: string): boolean => /^198\..*7$/.test(address);
  for (const zone of zones) dns.zones.set(nameOf(zone), { behaviour: "honest", lists: isListed });
  const lists = listsAt(dns);
  const questions = size * zones.length;
  let wrong = 0;
  const answersASecond = (work: (addresses: string[]) => Promise<unknown>): (() => Promise<number>) => {
    let from = 0;
    return async () => {
      const addresses = all.slice(from, (from += size));
      const began = performance.now();
      await work(addresses);
      return questions / ((performance.now() - began) / 1000);
    };
  };
  try {
    const figures = await inTurns(rounds, {
      ours: answersASecond(async (addresses) => {
        for (const { verdicts } of await lists.check(() => addresses))
          for (const address of addresses)
            if (verdicts.get(address)?.state !== (isListed(address) ? "listed" : "clean")) wrong += 1;
      }),
      bare: answersASecond((addresses) => askBare(dns, addresses)),
    });
    const inFlight = LANE_WIDTH * zones.length;
    print(`${rounds} times ${questions} questions in turns, ${LATENCY_IN_MILLISECONDS} ms away, ${inFlight} in flight`);
    const bound = (inFlight * 1000) / LATENCY_IN_MILLISECONDS;
    print(row(26, "", "answers a second"));
    print(row(26, "a bare UDP client", spread(figures.bare, 0)));
    print(row(26, "ours", spread(figures.ours, 0)));
    print(row(26, "ours / bare", spread(ratios(figures.ours, figures.bare)), "goal >= 0.90"));
    print(row(26, "ours / what the latency allows", spread(figures.ours.map((figure) => figure / bound))));
    print(row(26, "wrong verdicts", String(wrong)));
  } finally {
    await dns.stop();
  }
}

/** As many questions in flight as we have, over one socket; an answer is a code or none, and nothing is repeated. */
async function askBare({ servers: [server = ""] }: FaultDns, addresses: string[]): Promise<void> {
  const port = Number(server.split(":")[1]);
  const socket = createSocket({ type: "udp4", recvBufferSize: 8 << 20 });
  await new Promise<void>((ready) => socket.bind(0, "127.0.0.1", ready));
  const waiting = new Map<number, (listed: boolean) => void>();
  socket.on("message", (message) => {
    const { id = 0, answers = [] } = decode(message);
    const heard = waiting.get(id);
    waiting.delete(id);
    heard?.(answers.length > 0);
  });
  let lastId = 0;
  const ask = (name: string): Promise<boolean> =>
    new Promise((heard) => {
      lastId = (lastId + 1) & 0xffff;
      waiting.set(lastId, heard);
      const questions = [{ type: "A" as const, name }];
      socket.send(encode({ type: "query", id: lastId, flags: RECURSION_DESIRED, questions }), port, "127.0.0.1");
    });
  try {
    await Promise.all(
      zones.flatMap((zone) => {
        const rest = addresses.values();
        const name = zone.zone.replace("{key}", KEY);
        return Array.from({ length: LANE_WIDTH }, async () => {
          for (const address of rest) await ask(queryName(address, name));
        });
      }),
    );
  } finally {
    socket.close();
  }
}
