/**
 * Asks DNS blocklists about addresses (RFC 5782). A list is believed only if it answers its own test entries rightly before and after a
 * batch; an error code, a code that nobody mapped and a missing answer are unknown, which is neither listed nor clean.
 */
import { Resolver } from "node:dns/promises";
import type { SecretReference } from "../vault/reference.ts";
import { judge, queryName, type Verdict } from "./blocklist-answers.ts";
import type { BlocklistZone } from "./blocklist-zones.ts";
import { createGate, type Gate } from "./gate.ts";

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
  /** Asks every list about the addresses that `wanted` gives for it; one with an empty list is only tested, one with none left alone. */
  check(wanted: (zone: BlocklistZone) => string[] | undefined): Promise<ZoneBatch[]>;
  /** Asks one list about one address; unknown for a list that isn't known here. */
  checkOne(zoneId: string, address: string): Promise<Verdict>;
  /** Why a list has an address, in its own words (TXT); empty when it gives no reason. */
  reasons(zoneId: string, address: string): Promise<string[]>;
}

export interface BlocklistsOptions {
  /** `address[:port]`; empty for the system's own. A zone may name others. */
  servers: string[];
  zones: BlocklistZone[];
  readKey(reference: SecretReference): Promise<string>;
  timeoutInSeconds?: number;
  /** Of this process over all lists. Azure's own resolver drops above 1,000 (Azure documentation, "Azure-provided DNS resolver VM limits"). */
  queriesPerSecond?: number;
}

/** In flight for one list, whose resolver is its own, so that a silent one slows nobody else down; and for all of them. */
const LANE_WIDTH = 8;
const MOST_IN_FLIGHT = 96;
/** After so many unknown answers in a row a list is given up for this batch. */
const BREAKER = 20;

/** What can be asked of one list. */
interface Lane {
  /** Counts the tests. */
  testsBefore(): number;
  verdictOn(address: string): Promise<Verdict>;
  reasonsFor(address: string): Promise<string[]>;
}

export function createBlocklists({
  servers,
  zones,
  readKey,
  timeoutInSeconds = 1.5,
  queriesPerSecond = 400,
}: BlocklistsOptions): Blocklists {
  const everybody = createGate({ mostAtOnce: MOST_IN_FLIGHT, perSecond: queriesPerSecond });
  const lanes = new Map(
    zones.map((zone) => {
      const resolver = new Resolver({ timeout: timeoutInSeconds * 1000, tries: 2 });
      const own = zone.servers ?? servers;
      if (own.length > 0) resolver.setServers(own);
      const lane = createGate({ mostAtOnce: LANE_WIDTH });
      return [zone.id, { zone, open: opener(zone, resolver, (ask) => lane(() => everybody(ask)), readKey) }];
    }),
  );

  async function checkZone(zone: BlocklistZone, addresses: string[]): Promise<ZoneBatch> {
    const blind = (health: ZoneHealth): ZoneBatch => ({
      zoneId: zone.id,
      health,
      verdicts: new Map(addresses.map((address) => [address, { state: "unknown", reason: health }])),
    });
    const lane = await lanes.get(zone.id)?.open();
    if (!lane) return blind("unreachable");
    const before = await selfTest(lane);
    if (before !== "ok" || addresses.length === 0) return blind(before);
    const verdicts = await inLane(addresses, lane);
    if (verdicts === undefined) return blind("unreachable");
    const after = await selfTest(lane);
    return after === "ok" ? { zoneId: zone.id, health: "ok", verdicts } : blind(after);
  }

  return {
    zones,
    check: (wanted) =>
      Promise.all(
        zones.flatMap((zone) => {
          const addresses = wanted(zone);
          return addresses ? [checkZone(zone, addresses)] : [];
        }),
      ),
    checkOne: async (zoneId, address) => {
      const known = lanes.get(zoneId);
      if (!known) return { state: "unknown", reason: "notConfigured" };
      const { verdicts } = await checkZone(known.zone, [address]);
      return verdicts.get(address) ?? { state: "unknown", reason: "notAsked" };
    },
    reasons: async (zoneId, address) => (await (await lanes.get(zoneId)?.open())?.reasonsFor(address)) ?? [],
  };
}

/**
 * The only function that has a keyed zone's key: it makes the name, asks for it, and lets neither of them out, since Node's errors quote the
 * name that was asked. Undefined when the key can't be read: the list can't be asked then.
 */
function opener(
  zone: BlocklistZone,
  resolver: Resolver,
  gate: Gate,
  readKey: BlocklistsOptions["readKey"],
): () => Promise<Lane | undefined> {
  let key: string | undefined;
  let tests = 0;
  return async () => {
    // A version of a secret never changes, so it is read once.
    if (zone.key) key ??= await readKey(zone.key).catch(() => undefined);
    if (zone.key && key === undefined) return undefined;
    const name = zone.zone.replace("{key}", () => key ?? "");
    return {
      testsBefore: () => tests++,
      verdictOn: (address) =>
        gate(async () => {
          try {
            const records = await resolver.resolve4(queryName(address, name), { ttl: true });
            const verdict = judge(
              zone,
              records.map((record) => record.address),
            );
            return verdict.state === "listed"
              ? { ...verdict, ttlInSeconds: Math.min(...records.map(({ ttl }) => ttl)) }
              : verdict;
          } catch (error) {
            const code = error instanceof Error && "code" in error ? String(error.code) : "";
            if (code === "ENOTFOUND" || code === "ENODATA") return { state: "clean" };
            return { state: "unknown", reason: code === "EREFUSED" ? "refused" : "unreachable" };
          }
        }),
      reasonsFor: (address) =>
        gate(async () => {
          const texts = await resolver.resolveTxt(queryName(address, name)).catch((): string[][] => []);
          // A list may quote what it was asked, and names have no case.
          const quoted = key && new RegExp(key.replaceAll(/\W/g, "\\$&"), "gi");
          return texts.map((strings) => strings.join("")).map((text) => (quoted ? text.replaceAll(quoted, "[key]") : text));
        }),
    };
  };
}

/**
 * RFC 5782, chapter 5: 127.0.0.2 must be listed, 127.0.0.1 must not. 192.0.2.0/24 is nobody's (RFC 5737), so no list has a reason to name it;
 * a different address of it each time, so that what a name server between has kept doesn't answer for the list.
 */
async function selfTest({ verdictOn, testsBefore }: Lane): Promise<ZoneHealth> {
  const [listed, clean, nobody] = await Promise.all([
    verdictOn("127.0.0.2"),
    verdictOn("127.0.0.1"),
    verdictOn(`192.0.2.${1 + (testsBefore() % 254)}`),
  ]);
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
async function inLane(addresses: string[], { verdictOn }: Lane): Promise<Map<string, Verdict> | undefined> {
  const verdicts = new Map<string, Verdict>();
  const rest = addresses.values();
  let unknown = 0;
  const work = async (): Promise<void> => {
    for (const address of rest) {
      const verdict = await verdictOn(address);
      verdicts.set(address, verdict);
      unknown = verdict.state === "unknown" && verdict.reason !== "unknownCode" ? unknown + 1 : 0;
      if (unknown >= BREAKER) return;
    }
  };
  await Promise.all(Array.from({ length: LANE_WIDTH }, work));
  return unknown >= BREAKER ? undefined : verdicts;
}
