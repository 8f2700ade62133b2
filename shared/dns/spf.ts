/** The IPv4 addresses that an SPF record allows, with the records that it includes (RFC 7208). */
import { ControlPlaneError } from "../errors.ts";
import type { DnsResolver } from "./resolver.ts";
import { isSpf } from "./spf-record.ts";

/** RFC 7208, 4.6.4: more than ten look-ups make a record invalid. */
const MOST_LOOKUPS = 10;

/**
 * Addresses and ranges, sorted. Microsoft publishes the addresses that Exchange Online sends from as the SPF record of one host, and keeps
 * it current there. Throws SpfUnreadable: transient when DNS does not answer, permanent when the record is missing or wrong.
 */
export async function spfRanges(resolver: DnsResolver, host: string): Promise<string[]> {
  const ranges = new Set<string>();
  const asked = new Set<string>();
  const open = [host];
  for (let name = open.shift(); name !== undefined; name = open.shift()) {
    if (asked.has(name)) continue;
    asked.add(name);
    if (asked.size > MOST_LOOKUPS) throw unreadable(host, "includes more than ten other records");
    for (const term of await termsOf(resolver, name)) {
      const [mechanism, value = ""] = term.toLowerCase().split(/[:=](.*)/s);
      if (mechanism === "ip4") ranges.add(value);
      if (mechanism === "include" || mechanism === "redirect") open.push(value);
    }
  }
  if (ranges.size === 0) throw unreadable(host, "allows no IPv4 address");
  return [...ranges].sort();
}

const termsOf = async (resolver: DnsResolver, name: string): Promise<string[]> =>
  (await spfOf(resolver, name)).split(/\s+/).slice(1);

/** A domain's own SPF record, as it is published. */
export async function spfOf(resolver: Pick<DnsResolver, "texts">, name: string): Promise<string> {
  const texts = await resolver.texts(name);
  if (texts.state === "unknown") throw unreadable(name, texts.reason.message, true);
  const records = texts.state === "present" ? texts.actual.filter(isSpf) : [];
  if (records.length !== 1) throw unreadable(name, records.length === 0 ? "has no SPF record" : "has more than one SPF record");
  return records[0] ?? "";
}

const unreadable = (name: string, why: string, transient = false): ControlPlaneError =>
  new ControlPlaneError("SpfUnreadable", `reading the SPF record of ${name}: it ${why}`, transient ? 503 : 502, transient);
