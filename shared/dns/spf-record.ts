/** One SPF record read, widened and narrowed again (RFC 7208): pure, and without losing a term that somebody else wrote. */
import { BlockList, isIPv4, isIPv6 } from "node:net";
import { ControlPlaneError } from "../errors.ts";

export interface Term {
  /** As it is written in the record. */
  text: string;
  /** Modifiers (`redirect=`, `exp=` and unknown ones) have none. */
  qualifier: "+" | "-" | "~" | "?" | undefined;
  /** Lower case. */
  name: string;
  /** What follows the colon, the slash or the equals sign; empty where nothing does. */
  value: string;
}

export interface Senders {
  /** IPv4 addresses that mail leaves from. */
  addresses: string[];
  /** A host whose own SPF record counts too; undefined where the record reaches it by another way. */
  include?: string | undefined;
}

export interface Merged {
  record: string;
  /** Terms that were not there before. */
  added: string[];
}

export const isSpf = (text: string): boolean => /^v=spf1( |$)/i.test(text);

/** Throws SpfRecordInvalid: a receiver that meets such a record takes the whole of it for broken (RFC 7208, 4.6). */
export function parseSpf(record: string): Term[] {
  if (!isSpf(record)) throw invalid("it does not begin with v=spf1");
  const terms = record
    .split(/ +/)
    .slice(1)
    .filter((text) => text !== "")
    .map(termOf);
  for (const once of ["redirect", "exp"])
    if (terms.filter(({ name, qualifier }) => name === once && qualifier === undefined).length > 1)
      throw invalid(`it has more than one ${once}=`);
  return terms;
}

/**
 * The record that lists them too: the same text where it does already. Addresses go first, where nothing before them can refuse them and no
 * look-up is needed; the include goes before `all`, after which nothing counts. A domain without a record gets one that ends in `~all`.
 */
export function mergeSpf(existing: string | undefined, { addresses, include }: Senders): Merged {
  const terms = existing === undefined ? [] : parseSpf(existing);
  const mechanisms = [...new Set(addresses)].filter((address) => !covers(terms, address)).map((address) => `ip4:${address}`);
  const included = include === undefined || includes(terms, include) ? [] : [`include:${include}`];
  const ending = existing === undefined ? ["~all"] : [];
  const added = [...mechanisms, ...included, ...ending];
  if (existing !== undefined && added.length === 0) return { record: existing, added };
  const texts = terms.map(({ text }) => text);
  const end = terms.findIndex(isAll);
  const at = end < 0 ? texts.length : end;
  return { record: recordOf([...mechanisms, ...texts.slice(0, at), ...included, ...texts.slice(at), ...ending]), added };
}

/** The record without these terms, each taken out once; undefined when nothing is left. */
export function withoutTerms(record: string, unwanted: string[]): string | undefined {
  const left = unwanted.map((text) => text.toLowerCase());
  const kept = parseSpf(record).filter(({ text }) => {
    const at = left.indexOf(text.toLowerCase());
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  if (left.length === unwanted.length) return record;
  return kept.length === 0 ? undefined : recordOf(kept.map(({ text }) => text));
}

/** The terms, as they are written, that name one of the addresses and nothing else; of a record that can't be read, none. */
export function namingAddresses(record: string, addresses: string[]): string[] {
  return record.split(/ +/).filter((text) => {
    const [, address] = /^[+?~-]?ip4:([^/]+)(?:\/32)?$/i.exec(text) ?? [];
    return address !== undefined && addresses.includes(address);
  });
}

/** Whether mail from the address passes for sure, whatever the look-ups of other terms give. */
export function covers(terms: Term[], address: string): boolean {
  for (const { name, value, qualifier } of terms) {
    if (qualifier === undefined || name === "ip6" || (name === "ip4" && !contains(value, address))) continue;
    if (name === "all" || name === "ip4") return qualifier === "+";
    if (qualifier !== "+") return false;
  }
  return false;
}

/** A TXT record is made of strings of 255 bytes at most, which receivers join without a space (RFC 7208, 3.3). */
export const characterStrings = (record: string): string[] => record.match(/.{1,255}/gs) ?? [""];

export const isAll = ({ name, qualifier }: Term): boolean => name === "all" && qualifier !== undefined;

/** The record of another domain that decides when no mechanism does; it counts only where there is no `all` (RFC 7208, 6.1). */
export const redirectOf = (terms: Term[]): string | undefined =>
  terms.some(isAll) ? undefined : terms.find(({ name, qualifier }) => name === "redirect" && qualifier === undefined)?.value;

function includes(terms: Term[], host: string): boolean {
  const end = terms.findIndex(isAll);
  const before = end < 0 ? terms : terms.slice(0, end);
  const same = (value: string | undefined): boolean => value?.toLowerCase().replace(/\.$/, "") === host.toLowerCase();
  return (
    before.some(({ name, qualifier, value }) => name === "include" && qualifier === "+" && same(value)) || same(redirectOf(terms))
  );
}

function contains(range: string, address: string): boolean {
  const [network = "", prefix = "32"] = range.split("/");
  const block = new BlockList();
  block.addSubnet(network, Number(prefix));
  return block.check(address);
}

const recordOf = (terms: string[]): string => ["v=spf1", ...terms].join(" ");

/** RFC 7208, chapter 12. A domain may hold macros, so only its beginning and its lengths are looked at. */
const mechanisms: Record<string, (rest: string) => boolean> = {
  all: (rest) => rest === "",
  include: (rest) => /^:[^\s/:]\S*$/.test(rest),
  exists: (rest) => /^:[^\s/:]\S*$/.test(rest),
  ptr: (rest) => /^(:[^\s/:]\S*)?$/.test(rest),
  a: (rest) => hosts(rest),
  mx: (rest) => hosts(rest),
  ip4: (rest) => network(rest, isIPv4, 32),
  ip6: (rest) => network(rest, isIPv6, 128),
};

function hosts(rest: string): boolean {
  const found = /^(?::[^\s/:][^\s/]*)?(?:\/(\d{1,2}))?(?:\/\/(\d{1,3}))?$/.exec(rest);
  return found !== null && Number(found[1] ?? 0) <= 32 && Number(found[2] ?? 0) <= 128;
}

function network(rest: string, isAddress: (text: string) => boolean, longest: number): boolean {
  const [, address = "", prefix = String(longest)] = /^:([^/]+)(?:\/(\d{1,3}))?$/.exec(rest) ?? [];
  return isAddress(address) && Number(prefix) <= longest;
}

function termOf(text: string): Term {
  const [, modifier, value = ""] = /^([a-z][a-z0-9_.-]*)=([\x21-\x7e]*)$/i.exec(text) ?? [];
  if (modifier !== undefined) return { text, qualifier: undefined, name: modifier.toLowerCase(), value };
  const [, sign = "", word = "", rest = ""] = /^([+?~-]?)([a-z0-9]+)([:/][\x21-\x7e]*)?$/i.exec(text) ?? [];
  const name = word.toLowerCase();
  if (!Object.hasOwn(mechanisms, name) || mechanisms[name]?.(rest) !== true) throw invalid(`“${text}” is no term of SPF`);
  return { text, qualifier: (sign || "+") as "+", name, value: rest.replace(/^:/, "") };
}

const invalid = (why: string): ControlPlaneError =>
  new ControlPlaneError("SpfRecordInvalid", `an SPF record can't be read: ${why}`, 409);
