/**
 * Asks DNS blocklists about addresses (RFC 5782). A list is believed only if it answers its own test entries rightly before and after a
 * batch; an error code, a code that nobody mapped and a missing answer are unknown, which is neither listed nor clean.
 */
import { Resolver } from "node:dns/promises";
import { isIPv4, isIPv6 } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { SecretReference } from "../vault/reference.ts";
import type { BlocklistZone } from "./blocklist-zones.ts";

/** What a list says of one address: `codes` of a listing are mapped ones only, those of an unknown answer are such that nobody mapped. */
export type Verdict =
  | { state: "listed"; codes: string[] }
  | { state: "clean" }
  | { state: "unknown"; reason: string; codes?: string[] };

/** `ok`, or how a list fails: then it is blind, and nothing that it said counts. */
export type ZoneHealth = "ok" | "refused" | "listsEverything" | "listsNothing" | "broken" | "unreachable";

export interface ZoneBatch {
  zoneId: string;
  health: ZoneHealth;
  /** One for each address; all unknown unless `health` is `ok`. */
  verdicts: Map<string, Verdict>;
}

export interface Blocklists {
  readonly zones: readonly BlocklistZone[];
  /** Asks every list about the addresses that `wanted` gives for it; lists that have none are only tested. */
  check(wanted: (zone: BlocklistZone) => string[]): Promise<ZoneBatch[]>;
  /** Asks one list about one address; unknown for a list that isn't known here. */
  checkOne(zoneId: string, address: string): Promise<Verdict>;
  /** Why a list has an address, in its own words (TXT); empty when it gives no reason. */
  reasons(zoneId: string, address: string): Promise<string[]>;
}

export interface BlocklistsOptions {
  /** `address[:port]`; empty for the system's own. */
  servers: string[];
  zones: BlocklistZone[];
  readKey(reference: SecretReference): Promise<string>;
  timeoutInSeconds?: number;
  /** Of this process over all lists. Azure's own resolver drops above 1,000 (Azure documentation, "Azure-provided DNS resolver VM limits"). */
  queriesPerSecond?: number;
}

/** In flight for one list; each list has a resolver of its own, so a silent one slows nobody else down. */
const LANE_WIDTH = 8;
/** After so many unknown answers in a row a list is given up for this batch. */
const BREAKER = 20;

export function createBlocklists({
  servers,
  zones,
  readKey,
  timeoutInSeconds = 1.5,
  queriesPerSecond = 400,
}: BlocklistsOptions): Blocklists {
  const pace = createPace(queriesPerSecond);

  function resolverOf(): Resolver {
    const resolver = new Resolver({ timeout: timeoutInSeconds * 1000, tries: 2 });
    if (servers.length > 0) resolver.setServers(servers);
    return resolver;
  }

  async function checkZone(zone: BlocklistZone, addresses: string[]): Promise<ZoneBatch> {
    const blind = (health: ZoneHealth): ZoneBatch => ({
      zoneId: zone.id,
      health,
      verdicts: new Map(addresses.map((address) => [address, { state: "unknown", reason: health }])),
    });
    const name = await zoneName(zone, readKey);
    if (name === undefined) return blind("unreachable");
    const resolver = resolverOf();
    const ask = async (address: string): Promise<Verdict> => {
      await pace();
      return verdictOf(zone, () => resolver.resolve4(queryName(address, name)));
    };
    const before = await selfTest(ask);
    if (before !== "ok" || addresses.length === 0) return blind(before);
    const verdicts = await inLane(addresses, ask);
    if (verdicts === undefined) return blind("unreachable");
    const after = await selfTest(ask);
    return after === "ok" ? { zoneId: zone.id, health: "ok", verdicts } : blind(after);
  }

  return {
    zones,
    check: (wanted) => Promise.all(zones.map((zone) => checkZone(zone, wanted(zone)))),
    checkOne: async (zoneId, address) => {
      const zone = zones.find(({ id }) => id === zoneId);
      if (!zone) return { state: "unknown", reason: "notConfigured" };
      const { verdicts } = await checkZone(zone, [address]);
      return verdicts.get(address) ?? { state: "unknown", reason: "notAsked" };
    },
    reasons: async (zoneId, address) => {
      const zone = zones.find(({ id }) => id === zoneId);
      const name = zone && (await zoneName(zone, readKey));
      if (name === undefined) return [];
      await pace();
      const texts = await resolverOf()
        .resolveTxt(queryName(address, name))
        .catch((): string[][] => []);
      return texts.map((strings) => strings.join(""));
    },
  };
}

/**
 * The name under which a list is asked about an address: IPv4 octets or the 32 nibbles of IPv6, in reverse, before the zone (RFC 5782,
 * chapters 2.1 and 2.4).
 */
export function queryName(address: string, zone: string): string {
  if (isIPv4(address)) return `${address.split(".").reverse().join(".")}.${zone}`;
  if (isIPv6(address)) return `${nibbles(address).split("").reverse().join(".")}.${zone}`;
  throw new TypeError(`${address} is no address`);
}

/** The 32 hexadecimal digits of an IPv6 address. */
function nibbles(address: string): string {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hexadecimal = (one: string | undefined, other: string | undefined): string =>
    ((Number(one) << 8) | Number(other)).toString(16);
  const plain = dotted ? `${dotted[1]}${hexadecimal(dotted[2], dotted[3])}:${hexadecimal(dotted[4], dotted[5])}` : address;
  const [head = "", tail] = plain.split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const middle = tail === undefined ? [] : Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...middle, ...after]
    .map((group) => group.padStart(4, "0"))
    .join("")
    .toLowerCase();
}

/**
 * What A records mean. Everything in 127.255.255.0/24 is an error for every list: .252 a mistyped zone, .254 a resolver that the list
 * refuses, .255 too many questions. Outside 127.0.0.0/8 it is a parked domain or a resolver that rewrites.
 */
export function judge({ codes }: Pick<BlocklistZone, "codes">, records: string[]): Verdict {
  if (records.length === 0) return { state: "clean" };
  if (records.some((record) => record.startsWith("127.255.255."))) return { state: "unknown", reason: "refused" };
  if (!records.every((record) => record.startsWith("127."))) return { state: "unknown", reason: "broken" };
  const mapped = records.filter((record) => Object.hasOwn(codes, record)).toSorted();
  return mapped.length > 0
    ? { state: "listed", codes: mapped }
    : { state: "unknown", reason: "unknownCode", codes: records.toSorted() };
}

async function verdictOf(zone: BlocklistZone, ask: () => Promise<string[]>): Promise<Verdict> {
  try {
    return judge(zone, await ask());
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "failed";
    if (code === "ENOTFOUND" || code === "ENODATA") return { state: "clean" };
    // The code only: Node's message quotes the name that was asked, and with it a keyed zone's key.
    return { state: "unknown", reason: code === "EREFUSED" ? "refused" : "unreachable" };
  }
}

/** RFC 5782, chapter 5: 127.0.0.2 must be listed, 127.0.0.1 must not. 192.0.2.1 is nobody's address (RFC 5737), so nobody lists it. */
async function selfTest(ask: (address: string) => Promise<Verdict>): Promise<ZoneHealth> {
  const [listed, clean, nobody] = await Promise.all([ask("127.0.0.2"), ask("127.0.0.1"), ask("192.0.2.1")]);
  const reasons = [listed, clean, nobody].flatMap((verdict) => (verdict.state === "unknown" ? [verdict.reason] : []));
  if (reasons.includes("refused")) return "refused";
  if (reasons.includes("broken")) return "broken";
  if (reasons.includes("unreachable")) return "unreachable";
  // An unmapped code on an entry that must be clean is a listing all the same.
  if (clean.state !== "clean" || nobody.state !== "clean") return "listsEverything";
  // The test entry may have a code of its own that means nothing else.
  return listed.state === "clean" ? "listsNothing" : "ok";
}

/** A few at a time; undefined when the list stopped answering on the way. */
async function inLane(
  addresses: string[],
  ask: (address: string) => Promise<Verdict>,
): Promise<Map<string, Verdict> | undefined> {
  const verdicts = new Map<string, Verdict>();
  const rest = addresses.values();
  let unknown = 0;
  const work = async (): Promise<void> => {
    for (const address of rest) {
      const verdict = await ask(address);
      verdicts.set(address, verdict);
      unknown = verdict.state === "unknown" && verdict.reason !== "unknownCode" ? unknown + 1 : 0;
      if (unknown >= BREAKER) return;
    }
  };
  await Promise.all(Array.from({ length: LANE_WIDTH }, work));
  return unknown >= BREAKER ? undefined : verdicts;
}

/** The only place where a key becomes part of a name. Undefined when the key can't be read: the list can't be asked then. */
async function zoneName({ zone, key }: BlocklistZone, readKey: BlocklistsOptions["readKey"]): Promise<string | undefined> {
  if (!key) return zone;
  const value = await readKey(key).catch(() => undefined);
  return value === undefined ? undefined : zone.replace("{key}", value);
}

/** Lets questions through at most this fast, however many ask at once. */
function createPace(perSecond: number): () => Promise<void> {
  let next = 0;
  return async () => {
    const now = performance.now();
    const at = Math.max(now, next);
    next = at + 1000 / perSecond;
    if (at > now) await pause(at - now);
  };
}
