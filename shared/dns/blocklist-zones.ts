/** What is said of a blocklist: its zone, what its codes mean, how much a listing weighs, what it takes to ask it, and how an address gets off it. */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { deadZones, definitions, switchedOff } from "./blocklist-definitions.ts";

/**
 * How an address gets off a list. `form`: a person fills one. `expires`: it goes by itself once the cause has ended. `replace`: nobody can
 * ask for this address, so the gateway needs another one.
 */
const removalSchema = z.strictObject({
  kind: z.enum(["form", "expires", "replace"]),
  /** Where a person looks it up or asks; `{address}` stands for the listed address. */
  link: z.string().regex(/^https?:\/\//, "must be a link"),
  note: z.string().default(""),
  /** How long the list may take before somebody looks why; a day where it is left out. */
  answersWithinDays: z.int().min(1).max(7).optional(),
});

const codeSchema = z.strictObject({ meaning: z.string(), removal: removalSchema.optional() });

/** Of one list among several that are asked as one name, such as those of Spamhaus' ZEN. */
const codesSchema = z
  .record(z.string().regex(/^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/, "must be an address in 127.0.0.0/8"), codeSchema)
  .refine((codes) => !Object.keys(codes).some((code) => code.startsWith("127.255.255.")), {
    error: "127.255.255.0/24 holds errors, never listings",
  });

const keySchema = z.strictObject({ vaultUrl: z.url(), name: z.string(), version: z.string() });

const zoneSchema = z
  .strictObject({
    /** Stands for the zone in state, log and API: the zone's name may hold a key. */
    id: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "must be lower-case letters, digits and dashes"),
    title: z.string().min(1),
    /** `{key}` stands for the key of a keyed zone. */
    zone: z.string().regex(/^[a-z0-9{}_-]+(\.[a-z0-9{}_-]+)+$/i, "must be a domain name"),
    /** Where a keyed zone's key is kept; the key itself is nowhere but in the question. */
    key: keySchema.optional(),
    /** `address[:port]`: name servers of its own, such as those that the list has admitted; otherwise everybody's. */
    servers: z.array(z.string().min(1)).optional(),
    /** What the list allows in a day; a fleet that is too large for it is asked more seldom. */
    dailyQueries: z.int().min(100).optional(),
    codes: codesSchema,
    /** `informational` lists are shown and never open a case. */
    weight: z.enum(["critical", "high", "medium", "low", "informational"]),
    removal: removalSchema,
  })
  .refine(({ zone, key }) => zone.includes("{key}") === (key !== undefined), {
    error: "a zone with {key} names the vault that has the key, and only such a zone does",
  })
  .superRefine(({ zone }, { addIssue }) => {
    const dead = Object.keys(deadZones).find((name) => zone === name || zone.endsWith(`.${name}`));
    if (dead !== undefined) addIssue(`${dead} is no list any more: ${deadZones[dead]}`);
  });

export const blocklistZonesSchema = z
  .array(zoneSchema)
  .refine((zones) => new Set(zones.map(({ id }) => id)).size === zones.length, { error: "two zones have the same id" });

export type BlocklistZone = z.output<typeof zoneSchema>;
export type Removal = z.output<typeof removalSchema>;

export type ZoneInput = z.input<typeof zoneSchema>;

/**
 * Reads the setting DNS_BLOCKLISTS: `default`, or an array of lists: ids of lists that are known here, objects that change something of one,
 * and lists that are wholly the setting's own. Throws SettingsInvalid.
 */
export function parseBlocklistZones(setting: unknown): BlocklistZone[] {
  if (setting === "default") return blocklistZonesSchema.parse(definitions.filter(({ id }) => !(id in switchedOff)));
  const parsed = blocklistZonesSchema.safeParse(Array.isArray(setting) ? setting.map(completed) : setting);
  if (parsed.success) return parsed.data;
  throw new ControlPlaneError("SettingsInvalid", `the setting DNS_BLOCKLISTS is wrong: ${z.prettifyError(parsed.error)}`);
}

function completed(item: unknown): unknown {
  const id = typeof item === "string" ? item : typeof item === "object" && item !== null && "id" in item ? item.id : undefined;
  const known = definitions.find((one) => one.id === id);
  if (!known) return item;
  return typeof item === "object" ? { ...known, ...item } : known;
}

/** How an address gets off a list that gave these codes: what nobody can ask for outweighs a form, a form outweighs waiting. */
export function removalOf(zone: BlocklistZone, codes: string[]): Removal {
  const ways = codes.flatMap((code) => (zone.codes[code] ? [zone.codes[code].removal ?? zone.removal] : []));
  const first = (kind: Removal["kind"]) => ways.find((way) => way.kind === kind);
  return first("replace") ?? first("form") ?? first("expires") ?? zone.removal;
}
