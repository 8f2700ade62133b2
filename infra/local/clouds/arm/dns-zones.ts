/**
 * Microsoft.Network/dnsZones with their record sets, and what the public DNS answers from them.
 *
 * Sources: dns.json of the published API (2018-05-01), "DNS zones and records overview" for ETags, CNAME's rules and limits. A zone counts
 * as delegated when its name is a verified domain of an organisation here or lies below one; of several zones of a name, the oldest does.
 */
import { isIPv4, isIPv6 } from "node:net";
import * as z from "zod";
import type { RecordType as PublicType } from "../dns/zones.ts";
import type { SimulatedResponse } from "../simulator.ts";
import { ArmError, page, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { keyOf, newGuidEtag, sameId, type Estate, type Stored } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const zoneType = "Microsoft.Network/dnsZones";
const zoneSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({ zoneType: z.literal("Public").default("Public") }).default({ zoneType: "Public" }),
});

const MOST_RECORDS = 20;

const recordProperties = z.looseObject({
  TTL: z.number().int().min(1).max(2_147_483_647),
  metadata: z.record(z.string(), z.string()).optional(),
  ARecords: z.array(z.looseObject({ ipv4Address: z.string().refine(isIPv4, "an IPv4 address") })).optional(),
  AAAARecords: z.array(z.looseObject({ ipv6Address: z.string().refine(isIPv6, "an IPv6 address") })).optional(),
  MXRecords: z.array(z.looseObject({ preference: z.number().int().min(0).max(65_535), exchange: z.string().min(1) })).optional(),
  TXTRecords: z.array(z.looseObject({ value: z.array(z.string().max(1024)).min(1) })).optional(),
  NSRecords: z.array(z.looseObject({ nsdname: z.string() })).optional(),
  PTRRecords: z.array(z.looseObject({ ptrdname: z.string() })).optional(),
  SRVRecords: z.array(z.looseObject({})).optional(),
  caaRecords: z.array(z.looseObject({})).optional(),
  CNAMERecord: z.looseObject({ cname: z.string().min(1) }).optional(),
  SOARecord: z.looseObject({}).optional(),
});

const recordSetSchema = z.looseObject({ properties: recordProperties });
type Records = z.output<typeof recordProperties>;

/** Type of a record set and the property that its records are in. */
const contents = {
  A: "ARecords",
  AAAA: "AAAARecords",
  CAA: "caaRecords",
  CNAME: "CNAMERecord",
  MX: "MXRecords",
  NS: "NSRecords",
  PTR: "PTRRecords",
  SOA: "SOARecord",
  SRV: "SRVRecords",
  TXT: "TXTRecords",
} as const satisfies Record<string, keyof Records>;

type RecordType = keyof typeof contents;
const recordTypes = Object.keys(contents) as RecordType[];

const validDomain = (name: string): boolean =>
  name.length <= 253 && /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z0-9-]{1,63}$/.test(name);

export const dnsZones = (estate: Estate): ResourceType => ({
  type: zoneType,
  manner: "sync",
  regional: false,
  etag: "guid",
  put: ({ id, name, body, existing }) => {
    const { location, tags, properties } = parseBody(zoneSchema, body);
    if (location.toLowerCase() !== "global")
      throw new ArmError(
        400,
        "LocationNotAvailableForResourceType",
        `The provided location '${location}' is not available for resource type '${zoneType}'. List of available regions for the resource type is 'global'.`,
      );
    if (!validDomain(name)) throw new ArmError(400, "BadRequest", `The zone name '${name}' is not a valid domain name.`);
    const number = Number(existing?.facts["number"] ?? estate.next("dnsZone"));
    return {
      location: "global",
      facts: { number },
      body: {
        id,
        name,
        type: zoneType,
        location: "global",
        tags: tags ?? {},
        properties: {
          ...properties,
          maxNumberOfRecordSets: 10_000,
          nameServers: [1, 2, 3, 4].map((server) => `ns${server}-${String(number).padStart(2, "0")}.azure-dns.example.`),
        },
      },
    };
  },
  accepted: (zone) => {
    if (setsIn(estate, zone).length > 0) return;
    const nameServers = zone.body.properties["nameServers"] as string[];
    const apex = (type: RecordType, properties: Json): void =>
      estate.save({
        id: `${zone.id}/${type}/@`,
        name: "@",
        type: `${zoneType}/${type}`,
        location: "global",
        createdAt: zone.createdAt,
        facts: {},
        body: recordSet(`${zone.id}/${type}/@`, { type, name: "@", zone: zone.name, properties, etag: newGuidEtag() }),
      });
    apex("NS", { TTL: 172_800, NSRecords: nameServers.map((nsdname) => ({ nsdname })) });
    apex("SOA", {
      TTL: 3600,
      SOARecord: {
        email: "azuredns-hostmaster.example",
        expireTime: 2_419_200,
        host: nameServers[0],
        minimumTTL: 300,
        refreshTime: 3600,
        retryTime: 300,
        serialNumber: 1,
      },
    });
  },
  present: (zone) => ({
    ...zone.body,
    properties: { ...zone.body.properties, numberOfRecordSets: setsIn(estate, zone).length },
  }),
  deleted: (zone) => {
    for (const set of setsIn(estate, zone)) estate.remove(set.id);
  },
});

const setsIn = (estate: Estate, zone: Stored): Stored[] =>
  recordTypes
    .flatMap((type) => estate.ofType(`${zoneType}/${type}`))
    .filter(({ id }) => keyOf(id).startsWith(`${keyOf(zone.id)}/`));

function recordSet(
  id: string,
  { type, name, zone, properties, etag }: { type: RecordType; name: string; zone: string; properties: Json; etag?: string },
): Json & { properties: Json } {
  return {
    id,
    name,
    type: `Microsoft.Network/dnszones/${type}`,
    ...(etag === undefined ? {} : { etag }),
    properties: {
      ...properties,
      fqdn: name === "@" ? `${zone}.` : `${name}.${zone}.`,
      targetResource: {},
      provisioningState: "Succeeded",
    },
  };
}

/** One resource type for each type of record. */
export const recordSets = recordTypes.map(
  (type) =>
    (estate: Estate): ResourceType => ({
      type: `${zoneType}/${type}`,
      manner: "sync",
      regional: false,
      etag: "guid",
      put: ({ id, name, body }) => {
        const { TTL, metadata, ...records } = parseBody(recordSetSchema, body).properties;
        const zone = estate.resource(id.split("/").slice(0, -2).join("/"));
        if (zone === undefined)
          throw new ArmError(
            404,
            "ParentResourceNotFound",
            "Can not perform requested operation on nested resource. Parent resource not found.",
          );
        const given = records[contents[type]];
        const bad = (message: string): ArmError => new ArmError(400, "BadRequest", message);
        if (name !== "@" && !/^(?:\*|[A-Za-z0-9_-]+)(?:\.[A-Za-z0-9_-]+)*$/.test(name))
          throw bad(`The record set name '${name}' is not valid.`);
        if (Array.isArray(given) && given.length > MOST_RECORDS)
          throw bad(`A record set can't have more than ${MOST_RECORDS} records.`);
        if (given === undefined && type === "CNAME") throw bad("A CNAME record set must have one record.");
        if (type === "CNAME" && name === "@")
          throw bad(`The CNAME record set can't be created at the apex of zone '${zone.name}'.`);
        const beside = setsIn(estate, zone).filter((set) => keyOf(set.name) === keyOf(name) && !sameId(set.id, id));
        if (type === "CNAME" ? beside.length > 0 : beside.some((set) => set.type === `${zoneType}/CNAME`))
          throw bad(
            type === "CNAME"
              ? "The record could not be created because a non-CNAME record with the same name already exists in this zone."
              : "The record could not be created because a CNAME record with the same name already exists in this zone.",
          );
        const properties = { TTL, ...(metadata === undefined ? {} : { metadata }), [contents[type]]: given ?? [] };
        return { location: "global", body: recordSet(id, { type, name, zone: zone.name, properties }) };
      },
      checkDelete: ({ name }) => {
        if (name === "@" && (type === "NS" || type === "SOA"))
          throw new ArmError(400, "BadRequest", `The record set of type '${type}' at the apex of a zone can't be deleted.`);
      },
    }),
);

/** GET …/recordsets and …/all */
export function listRecordSets(
  estate: Estate,
  zone: Stored,
  call: { endpoint: string; path: string; query: URLSearchParams },
): SimulatedResponse {
  const all = setsIn(estate, zone).toSorted((a, b) => a.name.localeCompare(b.name) || a.type.localeCompare(b.type));
  return page(
    call,
    all.map(({ body }) => body),
  );
}

/** What delegated zones say of a name; CNAMEs are followed within them. Undefined when they say nothing. */
export function publicRecords(estate: Estate, askedName: string, type: PublicType, hops = 0): string[] | undefined {
  const name = askedName.toLowerCase().replace(/\.$/, "");
  const verified = estate.platform.organizations
    .values()
    .flatMap(({ domains }) => domains.filter((domain) => domain.verified).map((domain) => domain.name.toLowerCase()));
  const [zone] = estate
    .ofType(zoneType)
    .filter((candidate) => within(name, keyOf(candidate.name)))
    .filter((candidate) => verified.some((domain) => within(keyOf(candidate.name), domain)))
    .toSorted((a, b) => b.name.length - a.name.length || a.createdAt - b.createdAt);
  if (zone === undefined) return undefined;
  const label = name === keyOf(zone.name) ? "@" : name.slice(0, -zone.name.length - 1);
  const found = (wanted: RecordType): Records | undefined =>
    estate.resource(`${zone.id}/${wanted}/${label}`)?.body.properties as Records | undefined;
  const alias = found("CNAME")?.CNAMERecord?.cname;
  if (alias !== undefined && hops < 8)
    return publicRecords(estate, alias, type, hops + 1) ?? estate.platform.peers.lookup?.(alias, type);
  const records = found(type);
  if (records === undefined) return undefined;
  if (type === "A") return records.ARecords?.map(({ ipv4Address }) => ipv4Address);
  if (type === "TXT") return records.TXTRecords?.map(({ value }) => value.join(""));
  if (type === "NS") return records.NSRecords?.map(({ nsdname }) => nsdname.replace(/\.$/, ""));
  if (type === "PTR") return records.PTRRecords?.map(({ ptrdname }) => ptrdname.replace(/\.$/, ""));
  return records.MXRecords?.toSorted((a, b) => a.preference - b.preference).map(({ exchange }) => exchange.replace(/\.$/, ""));
}

const within = (name: string, domain: string): boolean => name === domain || name.endsWith(`.${domain}`);
