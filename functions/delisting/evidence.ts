/** What is known about a listed address: each item from where it is kept, and none of them holds the case up. */
import type { Evidence } from "../../shared/api/delisting.ts";
import { isSpf, mergeSpf } from "../../shared/dns/spf-record.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { reverseOf } from "./reverse.ts";
import type { Sight } from "./decide.ts";
import { wayOf } from "./ways.ts";
import type { DelistingWorld } from "./world.ts";

type World = Pick<DelistingWorld, "stores" | "blocklists" | "resolver" | "clock">;

const LONGEST_REASON = 500;

export async function evidenceOf(world: World, known: CaseRecord, verdict: Sight["verdict"]): Promise<Evidence> {
  const { blocklists, clock, resolver, stores } = world;
  const { list, address, partnerId, tenantId } = known;
  const zone = blocklists.zones.find(({ id }) => id === list);
  const [reasons, { reverseNames, forwardConfirmed }, gateway, tenant, drift] = await Promise.all([
    zone ? blocklists.reasons(list, address) : [],
    reverseOf(resolver, address),
    gatewayAt(world, known),
    stores.tenants.find(partnerId, tenantId),
    stores.drift.find(partnerId, tenantId),
  ]);
  const [beat, otherLists, allowedBySpf] = await Promise.all([
    gateway && stores.heartbeats.find(partnerId, gateway.id),
    listsBeside(world, known),
    tenant && spfOf(world, tenant, address),
  ]);
  const { probe, queue, badmail } = beat?.last ?? {};
  return given({
    at: new Date(clock.now()).toISOString(),
    verdict,
    codes: known.codes.map((code) => ({ code, ...(zone?.codes[code] ? { meaning: zone.codes[code].meaning } : {}) })),
    reasons: reasons.map((text) => text.slice(0, LONGEST_REASON)),
    reverseNames,
    forwardConfirmed,
    gateway: gateway && { id: gateway.id, name: gateway.fqdn, health: gateway.state.health },
    reply: probe?.reply,
    repliedAt: probe?.at,
    queue: queue?.count,
    badmail: badmail?.count,
    allowedBySpf,
    otherLists,
    differences: drift?.differences.filter(({ kind }) => eligible.has(kind)).map(({ kind, title }) => `${kind}: ${title}`),
  });
}

/** Of the kinds that lists, or those who look at a request, care about. */
const eligible = new Set(["publicIpAddress", "networkSecurityGroup", "guest"]);

export const gatewayAt = async ({ stores }: Pick<World, "stores">, { partnerId, address }: CaseRecord) =>
  (await stores.gateways.of(partnerId)).find((one) => one.address === address);

/** While Spamhaus' SBL has it, nothing else helps: only another address does (spamhaus.org/sbl/delistingprocedure). */
async function listsBeside({ stores, blocklists }: World, { partnerId, list, address }: CaseRecord) {
  const record = (await stores.listings.of(partnerId)).find((one) => one.address === address);
  return Object.entries(record?.sightings ?? {})
    .filter(([id, { state }]) => id !== list && state === "listed")
    .map(([id, { codes }]) => {
      const zone = blocklists.zones.find((one) => one.id === id);
      return { list: id, title: zone?.title ?? id, replaceAddress: wayOf(id, zone, codes)?.kind === "replace" };
    });
}

/** Undefined without an answer: an address that only an included record allows is not seen either. */
const spfOf = ({ resolver }: World, { spec }: TenantRecord, address: string) =>
  Promise.all(
    spec.microsoft365.domains.map(async (domain) => {
      const texts = await resolver.texts(domain);
      if (texts.state === "unknown") return { domain };
      const records = texts.state === "present" ? texts.actual.filter(isSpf) : [];
      return { domain, allowed: records.length === 1 && allows(records[0] ?? "", address) };
    }),
  );

function allows(record: string, address: string): boolean {
  try {
    return mergeSpf(record, { addresses: [address], include: undefined }).added.length === 0;
  } catch {
    return false;
  }
}

const given = (fields: object): Evidence =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as unknown as Evidence;
