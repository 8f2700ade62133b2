/**
 * The TXT record by which a name is proven to an ACME server (RFC 8555, chapter 8.4), in an Azure DNS zone that the spec lets us write.
 * Values that others put there stay: they prove the name to somebody, too. Ours are named in the record set's metadata, and gone when an
 * order has ended.
 */
import type { RecordSet } from "@azure/arm-dns";
import type { Azure } from "../azure/client.ts";
import { readBeforeWriting } from "../azure/owned.ts";
import { isMarked, ownedBy, ownershipTags, PARTNER_TAG, TENANT_TAG } from "../azure/place.ts";
import { zonePlace } from "../azure/zone-place.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Owner } from "../resources/resource.ts";

export interface ChallengeRecord {
  owner: Owner;
  entraTenantId: string;
  /** Resource id of the zone that the name is in. */
  zoneId: string;
  /** What the certificate is for. */
  name: string;
}

const TTL_IN_SECONDS = 60;
const VALUE_TAG = "gatehouse-challenge";

export const challengeName = (name: string): string => `_acme-challenge.${name}`;

/** Publishes the value instead of the one before it; there already counts as done. */
export async function publishChallenge(azure: Azure, record: ChallengeRecord, value: string): Promise<void> {
  const known = await read(azure, record);
  const { metadata } = known ?? {};
  if (isMarked(metadata) && !ownedBy(metadata, record.owner))
    throw new ControlPlaneError(
      "ForeignObject",
      `the record ${challengeName(record.name)} carries the marks of another tenant`,
      409,
    );
  const values = valuesOf(known);
  if (metadata?.[VALUE_TAG] === value && values.includes(value)) return;
  const others = values.filter((one) => one !== metadata?.[VALUE_TAG] && one !== value);
  await put(azure, record, known, [...others, value], value);
}

/** Gone already counts as done, and so does one that isn't ours. */
export async function withdrawChallenge(azure: Azure, record: ChallengeRecord): Promise<void> {
  const known = await read(azure, record);
  const value = known?.metadata?.[VALUE_TAG];
  if (known === undefined || value === undefined || !ownedBy(known.metadata, record.owner)) return;
  await put(
    azure,
    record,
    known,
    valuesOf(known).filter((one) => one !== value),
    undefined,
  );
}

const valuesOf = (known: RecordSet | undefined): string[] => (known?.txtRecords ?? []).map(({ value = [] }) => value.join(""));

function read(azure: Azure, record: ChallengeRecord): Promise<RecordSet | undefined> {
  const { subscription, resourceGroup, zone, label } = zonePlace(record, challengeName(record.name));
  return readBeforeWriting(azure, `the record ${challengeName(record.name)}`, subscription, async (clients) =>
    (await clients.dns()).recordSets.get(resourceGroup, zone, label, "TXT"),
  );
}

/** Over the version that was read: whoever writes in between is not undone. */
async function put(
  azure: Azure,
  record: ChallengeRecord,
  known: RecordSet | undefined,
  values: string[],
  ours: string | undefined,
): Promise<void> {
  const { subscription, resourceGroup, zone, label } = zonePlace(record, challengeName(record.name));
  const guard = known?.etag === undefined ? { ifNoneMatch: "*" } : { ifMatch: known.etag };
  if (values.length === 0) {
    await azure.beginRemoval(`removing the record ${challengeName(record.name)}`, subscription, async (clients, onResponse) =>
      (await clients.dns()).recordSets.delete(resourceGroup, zone, label, "TXT", { ...guard, onResponse }),
    );
    return;
  }
  const { [VALUE_TAG]: _value, [PARTNER_TAG]: _partner, [TENANT_TAG]: _tenant, ...others } = known?.metadata ?? {};
  const metadata = { ...others, ...(ours !== undefined && { ...ownershipTags(record.owner), [VALUE_TAG]: ours }) };
  const body = { ttl: known?.ttl ?? TTL_IN_SECONDS, metadata, txtRecords: values.map((value) => ({ value: [value] })) };
  await azure.begin(`publishing the record ${challengeName(record.name)}`, subscription, async (clients, onResponse) =>
    (await clients.dns()).recordSets.createOrUpdate(resourceGroup, zone, label, "TXT", body, { ...guard, onResponse }),
  );
}
