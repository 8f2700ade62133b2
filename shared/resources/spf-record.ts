/**
 * Mission C6 (manual, chapter 4.6): the domain's SPF record lists every address that its gateways send from, in an Azure DNS zone that the
 * spec lets us write.
 *
 * The record is the customer's: terms are only added, and the record set's metadata says which ones, so that exactly these are taken out
 * again. Addresses that we listed and no longer use stay until a caller says that they may go: mail may still be on its way from there.
 */
import type { RecordSet } from "@azure/arm-dns";
import type { Azure } from "../azure/client.ts";
import { readBeforeWriting } from "../azure/owned.ts";
import { ownedBy, ownershipTags } from "../azure/place.ts";
import { type ZonePlace, zonePlace } from "../azure/zone-place.ts";
import type { DnsResolver } from "../dns/resolver.ts";
import { missingInclude, widenedSpf } from "../dns/spf-limits.ts";
import { characterStrings, isSpf, mergeSpf, type Merged, withoutTerms } from "../dns/spf-record.ts";
import { ControlPlaneError } from "../errors.ts";
import { observing } from "./observing.ts";
import { type Begun, type Done, done, type Observed, type Owner, type Resource, unknown } from "./resource.ts";

export interface SpfRecord {
  owner: Owner;
  /** Of the zone's subscription. */
  entraTenantId: string;
  /** Resource id of the zone: the domain's own, or one above it. */
  zoneId: string;
  domain: string;
  /** IPv4 addresses that mail leaves from. */
  addresses: string[];
  /** Whether addresses that we listed before, and aren't among these, stay or go. */
  earlier: "stay" | "go";
}

export interface ActualSpfRecord {
  /** One, unless somebody broke it. */
  records: string[];
  /** The terms in it that we added. */
  added: string[];
  /** Whether it reaches the included host by way of another record. */
  reached: boolean;
}

/** How long receivers may keep a record that we make: long enough for them, short enough for the next change. */
const TTL_IN_SECONDS = 3600;
const ADDED_TAG = "gatehouse-spf";

export const spfRecord = ({ azure, resolver }: { azure: Azure; resolver: DnsResolver }): Resource<SpfRecord, ActualSpfRecord> => {
  /** The host whose SPF record lists the addresses of Exchange Online. */
  const include = azure.environment.exchange.spfHost;
  const what = ({ domain }: SpfRecord): string => `SPF record of ${domain}`;

  const read = (desired: SpfRecord) => async (): Promise<RecordSet> => {
    const { subscription, resourceGroup, zone, label } = placeOf(desired);
    return (await azure.clients(subscription).dns()).recordSets.get(resourceGroup, zone, label, "TXT");
  };

  async function observe(desired: SpfRecord): Promise<Observed<ActualSpfRecord>> {
    const found = await azure.read(placeOf(desired).subscription, read(desired));
    if (found.state !== "present") return found;
    const { metadata } = found.actual;
    if (marked(metadata) && !ownedBy(metadata, desired.owner))
      return unknown("ForeignObject", `the ${what(desired)} carries the marks of another tenant`);
    const records = spfIn(found.actual);
    if (records.length === 0) return { state: "absent" };
    const added = addedIn(metadata, records[0] ?? "");
    return observing(async () => ({ records, added, reached: await reached(desired, records) }));
  }

  /** DNS is asked only where the record doesn't name the host itself. One that receivers can't read reaches nothing. */
  const reached = async ({ domain }: SpfRecord, [record = ""]: string[]): Promise<boolean> =>
    (await missingInclude(resolver, domain, record, include).catch(unlessTransient(include))) === undefined;

  /** Over the version that was read: whoever writes in between is not undone. */
  async function put(desired: SpfRecord, known: RecordSet | undefined, merged: Merged | undefined): Promise<Done | Begun> {
    const { subscription, resourceGroup, zone, label } = placeOf(desired);
    const others = (known?.txtRecords ?? []).filter((record) => !isSpf(textOf(record)));
    const at = (known?.txtRecords ?? []).findIndex((record) => isSpf(textOf(record)));
    const ours = merged && { value: characterStrings(merged.record) };
    const txtRecords = ours ? others.toSpliced(at < 0 ? others.length : at, 0, ours) : others;
    const guard = known?.etag === undefined ? { ifNoneMatch: "*" } : { ifMatch: known.etag };
    if (txtRecords.length === 0)
      return azure.beginRemoval(`removing the ${what(desired)}`, subscription, async (clients, onResponse) =>
        (await clients.dns()).recordSets.delete(resourceGroup, zone, label, "TXT", { ...guard, onResponse }),
      );
    const metadata = { ...unmarked(known?.metadata), ...(merged?.added.length ? marks(desired.owner, merged.added) : {}) };
    const body = { ttl: known?.ttl ?? TTL_IN_SECONDS, metadata, txtRecords };
    return azure.begin(`publishing the ${what(desired)}`, subscription, async (clients, onResponse) =>
      (await clients.dns()).recordSets.createOrUpdate(resourceGroup, zone, label, "TXT", body, { ...guard, onResponse }),
    );
  }

  const beforeWriting = (desired: SpfRecord): Promise<RecordSet | undefined> =>
    readBeforeWriting(azure, `the ${what(desired)}`, placeOf(desired).subscription, read(desired));

  async function write(desired: SpfRecord): Promise<Done | Begun> {
    const known = await beforeWriting(desired);
    const records = known ? spfIn(known) : [];
    const kept = leaving(desired, { records, added: addedIn(known?.metadata, records[0] ?? "") });
    const merged = await widenedSpf(resolver, desired.domain, kept.records, { addresses: desired.addresses, include });
    return put(desired, known, { record: merged.record, added: [...merged.added, ...kept.added] });
  }

  return {
    kind: "spfRecord",
    observe,
    diff(desired, actual) {
      const { records } = actual;
      const wanted = wantedOf(desired, actual, include);
      return records.length === 1 && wanted === records[0] ? [] : [{ path: "records", from: records, to: [wanted] }];
    },
    create: write,
    update: write,
    async remove(desired) {
      const observed = await observe(desired);
      if (observed.state === "unknown")
        throw observed.reason.code === "ForeignObject"
          ? new ControlPlaneError("ForeignObject", observed.reason.message, 409)
          : new ControlPlaneError("AzureBusy", `reading the ${what(desired)}: ${observed.reason.message}`, 503, true);
      if (observed.state === "absent" || observed.actual.added.length === 0) return done;
      const { records, added } = observed.actual;
      const left = withoutTerms(records[0] ?? "", added);
      return put(desired, await beforeWriting(desired), left === undefined ? undefined : { record: left, added: [] });
    },
  };
};

/** What the record is to be; one that can't be read or judged stays as it is, so that writing says why. */
function wantedOf(desired: SpfRecord, actual: ActualSpfRecord, include: string): string {
  try {
    const [record] = leaving(desired, actual).records;
    return mergeSpf(record, { addresses: desired.addresses, include: actual.reached ? undefined : include }).record;
  } catch (error) {
    if (error instanceof ControlPlaneError) return error.message;
    throw error;
  }
}

/** Without the addresses that we listed and that may go. */
function leaving(
  { addresses, earlier }: Pick<SpfRecord, "addresses" | "earlier">,
  { records, added }: Pick<ActualSpfRecord, "records" | "added">,
): Pick<ActualSpfRecord, "records" | "added"> {
  const gone = earlier === "stay" ? [] : added.filter((term) => term.startsWith("ip4:") && !addresses.includes(term.slice(4)));
  const [record, ...others] = records;
  if (record === undefined || gone.length === 0) return { records, added };
  return { records: [withoutTerms(record, gone) ?? "v=spf1", ...others], added: added.filter((term) => !gone.includes(term)) };
}

const unlessTransient =
  <Value>(value: Value) =>
  (error: unknown): Value => {
    if (error instanceof ControlPlaneError && !error.transient) return value;
    throw error;
  };

const placeOf = (desired: SpfRecord): ZonePlace => zonePlace(desired, desired.domain);

const textOf = ({ value = [] }: { value?: string[] }): string => value.join("");
const spfIn = ({ txtRecords = [] }: RecordSet): string[] => txtRecords.map(textOf).filter(isSpf);

type Metadata = Record<string, string> | undefined;

const ours = /^gatehouse-/;
const marked = (metadata: Metadata): boolean => Object.keys(metadata ?? {}).some((name) => ours.test(name));
const unmarked = (metadata: Metadata): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata ?? {}).filter(([name]) => !ours.test(name)));

/** Several values, since how long one may be is not published. */
const marks = (owner: Owner, added: string[]): Record<string, string> => ({
  ...ownershipTags(owner),
  ...Object.fromEntries(characterStrings(added.join(" ")).map((part, index) => [`${ADDED_TAG}-${index + 1}`, part])),
});

/** Those of ours that are still in the record: somebody may have taken one out. */
function addedIn(metadata: Metadata, record: string): string[] {
  const parts = Object.entries(metadata ?? {}).filter(([name]) => name.startsWith(ADDED_TAG));
  const numbered = parts.toSorted(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
  const there = record.split(/ +/);
  return numbered
    .map(([, part]) => part)
    .join("")
    .split(" ")
    .filter((term) => there.includes(term));
}
