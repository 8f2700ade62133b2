/** How a blocklist is asked and what its answers mean (RFC 5782): the name for an address, and listings told from errors. */
import { isIPv4, isIPv6 } from "node:net";
import type { BlocklistZone } from "./blocklist-zones.ts";

/**
 * What a list says of one address: `codes` of a listing are mapped ones only, those of an unknown answer are such that nobody mapped. Before its
 * time to live is over nothing else is to be had.
 */
export type Verdict =
  | { state: "listed"; codes: string[]; ttlInSeconds?: number }
  | { state: "clean" }
  | { state: "unknown"; reason: string; codes?: string[] };

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
