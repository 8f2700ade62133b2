/** The list of blocklists, as data: what each one's codes mean, how much a listing weighs, and how an address gets off it. */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";

/**
 * How an address gets off a list. `form`: a person fills one. `expires`: it goes by itself once the cause has ended. `replace`: nobody can
 * ask for this address, so the gateway needs another one.
 */
const removalSchema = z.strictObject({
  kind: z.enum(["form", "expires", "replace"]),
  /** Where a person looks it up or asks; `{address}` stands for the listed address. */
  link: z.string().regex(/^https?:\/\//, "must be a link"),
  note: z.string().default(""),
});

const codeSchema = z.strictObject({ meaning: z.string(), removal: removalSchema.optional() });

/** Of one list among several that are asked as one name, such as those of Spamhaus' ZEN. */
const codesSchema = z
  .record(z.string().regex(/^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/, "must be an address in 127.0.0.0/8"), codeSchema)
  .refine((codes) => !Object.keys(codes).some((code) => code.startsWith("127.255.255.")), {
    error: "127.255.255.0/24 holds errors, never listings",
  });

const zoneSchema = z
  .strictObject({
    /** Stands for the zone in state, log and API: the zone's name may hold a key. */
    id: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "must be lower-case letters, digits and dashes"),
    title: z.string().min(1),
    /** `{key}` stands for the key of a keyed zone. */
    zone: z.string().regex(/^[a-z0-9{}_-]+(\.[a-z0-9{}_-]+)+$/i, "must be a domain name"),
    /** Where a keyed zone's key is kept; the key itself is nowhere but in the question. */
    key: z.strictObject({ vaultUrl: z.url(), name: z.string(), version: z.string() }).optional(),
    codes: codesSchema,
    /** `informational` lists are shown and never open a case. */
    weight: z.enum(["critical", "high", "medium", "low", "informational"]),
    removal: removalSchema,
  })
  .refine(({ zone, key }) => zone.includes("{key}") === (key !== undefined), {
    error: "a zone with {key} names the vault that has the key, and only such a zone does",
  });

export const blocklistZonesSchema = z
  .array(zoneSchema)
  .refine((zones) => new Set(zones.map(({ id }) => id)).size === zones.length, { error: "two zones have the same id" });

export type BlocklistZone = z.output<typeof zoneSchema>;
export type Removal = z.output<typeof removalSchema>;

/** Reads the setting DNS_BLOCKLISTS: `default`, or an array of zones. Throws SettingsInvalid. */
export function parseBlocklistZones(setting: unknown): BlocklistZone[] {
  if (setting === "default") return defaultZones;
  const parsed = blocklistZonesSchema.safeParse(setting);
  if (parsed.success) return parsed.data;
  throw new ControlPlaneError("SettingsInvalid", `the setting DNS_BLOCKLISTS is wrong: ${z.prettifyError(parsed.error)}`);
}

/** How an address gets off a list that gave these codes: what nobody can ask for outweighs a form, a form outweighs waiting. */
export function removalOf(zone: BlocklistZone, codes: string[]): Removal {
  const ways = codes.flatMap((code) => (zone.codes[code] ? [zone.codes[code].removal ?? zone.removal] : []));
  const first = (kind: Removal["kind"]) => ways.find((way) => way.kind === kind);
  return first("replace") ?? first("form") ?? first("expires") ?? zone.removal;
}

const lookUp = "https://check.spamhaus.org/results/?query={address}";

/**
 * Codes of Spamhaus' ZEN: docs.spamhaus.com, "Zones and return codes". A name server of Azure gets 127.255.255.254 from the public zone,
 * so ZEN itself needs a key of the Data Query Service and is added by the setting.
 */
export const spamhausZenCodes: BlocklistZone["codes"] = {
  "127.0.0.2": {
    meaning: "SBL: Spamhaus' own list of spam sources",
    // spamhaus.org/sbl/delistingprocedure: only the provider of the address may ask, which for an Azure address is Microsoft.
    removal: { kind: "replace", link: lookUp, note: "Only the address' provider may ask. Give the gateway another address." },
  },
  "127.0.0.3": {
    meaning: "CSS: snowshoe and other low-reputation sources",
    removal: {
      kind: "form",
      link: lookUp,
      note: "Ask once, after the cause is cured; otherwise it expires in about three days.",
    },
  },
  "127.0.0.4": {
    meaning: "XBL: infected or exploited machine",
    removal: { kind: "form", link: lookUp, note: "Cure the machine first; a removal without a cure does not last." },
  },
  "127.0.0.9": {
    meaning: "DROP: hijacked range",
    removal: { kind: "replace", link: lookUp, note: "The whole range is listed. Give the gateway another address." },
  },
  "127.0.0.10": { meaning: "PBL: end-user range, by the provider's own policy" },
  "127.0.0.11": { meaning: "PBL: end-user range, by Spamhaus' research" },
};

const defaultZones: BlocklistZone[] = blocklistZonesSchema.parse([
  {
    id: "spamcop",
    title: "SpamCop",
    zone: "bl.spamcop.net",
    codes: { "127.0.0.2": { meaning: "reported as a spam source" } },
    weight: "high",
    removal: {
      kind: "expires",
      link: "https://www.spamcop.net/bl.shtml?{address}",
      note: "Goes by itself 12 to 24 hours after the last report; stop the cause.",
    },
  },
  {
    id: "psbl",
    title: "PSBL",
    zone: "psbl.surriel.com",
    codes: { "127.0.0.2": { meaning: "sent to a spam trap" } },
    weight: "medium",
    removal: { kind: "form", link: "https://psbl.org/remove?ip={address}", note: "Self-service, effective within hours." },
  },
  {
    id: "mailspike",
    title: "Mailspike",
    zone: "bl.mailspike.net",
    codes: {
      "127.0.0.2": { meaning: "part of a spam outbreak" },
      "127.0.0.10": { meaning: "worst reputation" },
      "127.0.0.11": { meaning: "very bad reputation" },
      "127.0.0.12": { meaning: "bad reputation" },
    },
    weight: "medium",
    removal: { kind: "form", link: "https://www.mailspike.org/iplookup.html", note: "" },
  },
  {
    id: "uceprotect-1",
    title: "UCEPROTECT level 1",
    zone: "dnsbl-1.uceprotect.net",
    codes: { "127.0.0.2": { meaning: "sent to a spam trap" } },
    weight: "low",
    removal: {
      kind: "expires",
      link: "https://www.uceprotect.net/en/rblcheck.php?ipr={address}",
      note: "Goes by itself after seven clean days. Never pay for it.",
    },
  },
  {
    id: "uceprotect-3",
    title: "UCEPROTECT level 3",
    zone: "dnsbl-3.uceprotect.net",
    codes: { "127.0.0.2": { meaning: "the provider's whole network is listed" } },
    weight: "informational",
    removal: {
      kind: "expires",
      link: "https://www.uceprotect.net/en/rblcheck.php?ipr={address}",
      note: "All of the provider's addresses are listed at once; nothing can be done for one.",
    },
  },
]);
