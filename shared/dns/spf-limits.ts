/** What an SPF record costs whoever receives a mail, and the limits beyond which it counts as broken (RFC 7208, 4.6.4). */
import { ControlPlaneError } from "../errors.ts";
import type { DnsResolver } from "./resolver.ts";
import { spfOf } from "./spf.ts";
import { isAll, type Merged, mergeSpf, parseSpf, redirectOf, type Term } from "./spf-record.ts";

export interface SpfCost {
  /** Terms that ask DNS, with those of all records that are included. */
  lookUps: number;
  /** Questions to which DNS has no answer. */
  voids: number;
  /** The record's own terms that ask, the dearest first. */
  terms: { text: string; lookUps: number }[];
  /** Hosts whose records count with a pass, lower case. */
  included: string[];
}

const MOST_LOOKUPS = 10;
const MOST_VOIDS = 2;
/** So many that nobody needs to count on. */
const ENDLESS = 100;

type Dns = Pick<DnsResolver, "texts" | "addresses" | "mailExchangers">;

/**
 * The one record that lists the senders too, within the limits. Refuses, with a person's way out, what would break the domain's SPF: two
 * records (SpfRecordsSeveral), one that can't be read (SpfRecordInvalid), one that costs too much (SpfTooManyLookUps, SpfTooManyVoids).
 */
export async function widenedSpf(
  dns: Dns,
  domain: string,
  records: string[],
  { addresses, include }: { addresses: string[]; include: string },
): Promise<Merged> {
  if (records.length > 1)
    throw new ControlPlaneError(
      "SpfRecordsSeveral",
      `${domain} has ${records.length} SPF records, and with more than one receivers believe none; join them into one`,
      409,
    );
  const [record] = records;
  const missing = record === undefined ? include : await missingInclude(dns, domain, record, include);
  const merged = mergeSpf(record, { addresses, include: missing });
  const { lookUps, voids, terms } = await spfCost(dns, domain, merged.record);
  const dearest = terms.map(({ text, lookUps: of }) => `${text} (${of >= ENDLESS ? "without end" : of})`).join(", ");
  if (lookUps > MOST_LOOKUPS)
    throw new ControlPlaneError(
      "SpfTooManyLookUps",
      `the SPF record of ${domain} would take more than ${MOST_LOOKUPS} DNS look-ups, and receivers take such a record for broken; take out what isn't used any more of: ${dearest}`,
      409,
    );
  if (voids > MOST_VOIDS)
    throw new ControlPlaneError(
      "SpfTooManyVoids",
      `the SPF record of ${domain} would ask for more than ${MOST_VOIDS} names that aren't there, and receivers take such a record for broken; take out what isn't used any more of: ${dearest}`,
      409,
    );
  return merged;
}

/** The host that the record still has to include: undefined where it reaches it already, by way of others too. */
export async function missingInclude(dns: Dns, domain: string, record: string, host: string): Promise<string | undefined> {
  if (mergeSpf(record, { addresses: [], include: host }).added.length === 0) return undefined;
  return (await spfCost(dns, domain, record)).included.includes(host.toLowerCase()) ? undefined : host;
}

/** Throws SpfUnreadable: transient when DNS does not answer, permanent when an included record is missing or wrong. */
export async function spfCost(dns: Dns, domain: string, record: string): Promise<SpfCost> {
  const { each, ...sum } = await costOf(dns, parseSpf(record), [domain.toLowerCase()]);
  return { ...sum, terms: each.filter(({ lookUps }) => lookUps > 0).toSorted((one, other) => other.lookUps - one.lookUps) };
}

type Cost = Pick<SpfCost, "lookUps" | "voids" | "included"> & { each: SpfCost["terms"] };

/** `path` has the domains on the way here: one that comes again would be followed for ever. */
async function costOf(dns: Dns, terms: Term[], path: string[]): Promise<Cost> {
  const total: Cost = { lookUps: 0, voids: 0, included: [], each: [] };
  for (const term of terms) {
    if (isAll(term)) break;
    if (term.qualifier === undefined && term.value !== redirectOf(terms)) continue;
    if (total.lookUps >= ENDLESS) break;
    const cost = await costOfTerm(dns, term, path);
    total.lookUps += cost.lookUps;
    total.voids += cost.voids;
    total.included.push(...cost.included);
    total.each.push({ text: term.text, lookUps: cost.lookUps });
  }
  return total;
}

const asksNothing = new Set(["ip4", "ip6", "exp"]);

async function costOfTerm(dns: Dns, { name, value, qualifier }: Term, path: string[]): Promise<Omit<Cost, "each">> {
  const free = { lookUps: 0, voids: 0, included: [] };
  if (asksNothing.has(name) || (qualifier === undefined && name !== "redirect")) return free;
  const once = { ...free, lookUps: 1 };
  const host = (value.replace(/\/.*$/, "") || path.at(-1) || "").toLowerCase().replace(/\.$/, "");
  // A macro's value is known when a mail comes; `ptr` asks about the mail's own address.
  if (host.includes("%") || name === "ptr") return once;
  if (name === "include" || name === "redirect") {
    if (path.includes(host)) return { ...once, lookUps: ENDLESS };
    const { lookUps, voids, included } = await costOf(dns, parseSpf(await spfOf(dns, host)), [...path, host]);
    return { lookUps: lookUps + 1, voids, included: qualifier === "+" || qualifier === undefined ? [host, ...included] : [] };
  }
  const answer = name === "mx" ? await dns.mailExchangers(host) : await dns.addresses(host);
  if (answer.state === "unknown") throw new ControlPlaneError("SpfUnreadable", answer.reason.message, 503, true);
  return { ...once, voids: answer.state === "absent" ? 1 : 0 };
}
