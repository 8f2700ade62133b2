/** Blocklist zones of the simulated DNS: each lists addresses with a code, or misbehaves in one of the ways that real lists do. */
import * as z from "zod";
import type { Collection, Platform } from "../simulator.ts";

/**
 * `honest` answers what it lists. `127.255.255.…` answers that error code to everything. `everything` and `nothing` list all or none, the
 * test entries included. `parked` answers an address outside 127.0.0.0/8. `silent` says nothing; `servfail` and `refused` answer so.
 */
const behaviours = [
  "honest",
  "127.255.255.252",
  "127.255.255.254",
  "127.255.255.255",
  "everything",
  "nothing",
  "parked",
  "silent",
  "servfail",
  "refused",
] as const;

const domainName = z
  .string()
  .regex(/^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/i, "must be a domain name")
  .transform((name) => name.toLowerCase());

const entrySchema = z.union([
  z.ipv4().transform((address) => ({ address, codes: ["127.0.0.2"], reason: undefined })),
  z.strictObject({
    address: z.ipv4(),
    codes: z.array(z.ipv4().startsWith("127.")).min(1).default(["127.0.0.2"]),
    reason: z.string().max(255).optional(),
  }),
]);

export const blocklistSchema = z.strictObject({
  zone: domainName,
  behaviour: z.enum(behaviours).optional(),
  list: z.array(entrySchema).default([]),
  unlist: z.array(z.ipv4()).default([]),
});

export type BlocklistChange = z.output<typeof blocklistSchema>;

export const removalRequestSchema = z.object({
  address: z.ipv4("must be an IPv4 address"),
  mailbox: z.email("must be a mail address"),
  reason: z.string().trim().min(20, "must say in a sentence or two why the address should go"),
});

interface Entry {
  codes: string[];
  reason: string | undefined;
  /** Milliseconds since 1970: from then on the address is off the list. */
  goneAt: number | undefined;
}

interface Zone {
  behaviour: (typeof behaviours)[number];
  entries: Record<string, Entry>;
}

/** What a name in a blocklist zone answers; `silent` sends nothing. */
export type BlocklistAnswer = "silent" | { code: number; addresses: string[]; texts: string[] };

export interface BlocklistZones {
  /** Undefined when the name is in none of the zones. */
  answer(name: string): BlocklistAnswer | undefined;
  change(change: BlocklistChange): unknown;
  /** A filled form of the portal: the address goes half an hour later. Answers whether the zone has it. */
  requestRemoval(zone: string, address: string): boolean;
  has(zone: string): boolean;
  state(): unknown;
}

/** Public lists that are there from the start, honest and empty. */
const PUBLIC_ZONES = [
  "bl.spamcop.net",
  "psbl.surriel.com",
  "bl.mailspike.net",
  "dnsbl-1.uceprotect.net",
  "dnsbl-2.uceprotect.net",
  "dnsbl-3.uceprotect.net",
];
const NXDOMAIN = 3;
/** The manual says of Microsoft's portal that a removal takes about 30 minutes; other lists are as quick. */
const REMOVAL_IN_MILLISECONDS = 30 * 60 * 1000;
const PARKED = "198.51.100.80";

export function createBlocklistZones({ collection, now, tempo }: Platform): BlocklistZones {
  const zones: Collection<Zone> = collection("dns.blocklists");
  for (const name of PUBLIC_ZONES) if (!zones.get(name)) zones.set(name, { behaviour: "honest", entries: {} });

  const listedIn = (zone: Zone, address: string): Entry | undefined => {
    const entry = Object.hasOwn(zone.entries, address) ? zone.entries[address] : undefined;
    return entry && (entry.goneAt === undefined || entry.goneAt > now()) ? entry : undefined;
  };

  function entryOf(zone: Zone, address: string | undefined): Pick<Entry, "codes" | "reason"> | undefined {
    if (address === undefined) return undefined;
    if (zone.behaviour.startsWith("127.255.255."))
      return { codes: [zone.behaviour], reason: "this answer is an error, not a listing" };
    if (zone.behaviour === "parked") return { codes: [PARKED], reason: "this domain is for sale" };
    if (zone.behaviour === "everything") return { codes: ["127.0.0.2"], reason: "this list has closed" };
    if (zone.behaviour === "nothing") return undefined;
    if (address === "127.0.0.2") return { codes: ["127.0.0.2"], reason: "test entry" };
    return listedIn(zone, address);
  }

  return {
    answer: (askedName) => {
      const name = askedName.toLowerCase();
      const [zoneName, zone] = zones.entries().find(([one]) => name === one || name.endsWith(`.${one}`)) ?? [];
      if (zoneName === undefined || !zone) return undefined;
      if (zone.behaviour === "silent") return "silent";
      if (zone.behaviour === "servfail") return { code: 2, addresses: [], texts: [] };
      if (zone.behaviour === "refused") return { code: 5, addresses: [], texts: [] };
      if (name === zoneName) return { code: 0, addresses: [], texts: [] };
      const reversed = name.slice(0, -zoneName.length - 1).split(".");
      const entry = entryOf(zone, reversed.length === 4 ? reversed.reverse().join(".") : undefined);
      if (!entry) return { code: NXDOMAIN, addresses: [], texts: [] };
      return { code: 0, addresses: entry.codes, texts: entry.reason === undefined ? [] : [entry.reason] };
    },
    change: ({ zone: name, behaviour, list, unlist }) => {
      const zone: Zone = zones.get(name) ?? { behaviour: "honest", entries: {} };
      if (behaviour !== undefined) zone.behaviour = behaviour;
      for (const { address, codes, reason } of list) zone.entries[address] = { codes, reason, goneAt: undefined };
      for (const address of unlist) delete zone.entries[address];
      zones.set(name, zone);
      return { zone: name, ...zone };
    },
    requestRemoval: (name, address) => {
      const zone = zones.get(name);
      const entry = zone && listedIn(zone, address);
      if (!zone || !entry) return false;
      entry.goneAt ??= now() + REMOVAL_IN_MILLISECONDS * tempo;
      zones.set(name, zone);
      return true;
    },
    has: (name) => zones.get(name) !== undefined,
    state: () => Object.fromEntries(zones.entries()),
  };
}
