/**
 * Microsoft.Storage/storageAccounts: names that are unique in the world, kinds of replication, keys. Blobs and tables are not there.
 *
 * Sources: storage.json of the published API (202 with a Location, then the account); "Azure Storage redundancy" and "Change how a
 * storage account is replicated" for what may become what.
 */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import type { SimulatedResponse } from "../simulator.ts";
import { regions } from "./catalog.ts";
import { ArmError, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { sameId, type Estate, type Stored } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const skus = [
  "Standard_LRS",
  "Standard_ZRS",
  "Standard_GRS",
  "Standard_RAGRS",
  "Standard_GZRS",
  "Standard_RAGZRS",
  "Premium_LRS",
  "Premium_ZRS",
];

const storageAccountSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  sku: z.looseObject({ name: z.string() }),
  kind: z.enum(["StorageV2", "Storage", "BlobStorage", "BlockBlobStorage", "FileStorage"]),
  properties: z
    .looseObject({
      supportsHttpsTrafficOnly: z.boolean().default(true),
      minimumTlsVersion: z.enum(["TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"]).default("TLS1_2"),
      allowBlobPublicAccess: z.boolean().default(false),
      allowSharedKeyAccess: z.boolean().optional(),
      accessTier: z.string().default("Hot"),
    })
    .default({ supportsHttpsTrafficOnly: true, minimumTlsVersion: "TLS1_2", allowBlobPublicAccess: false, accessTier: "Hot" }),
});

const type = "Microsoft.Storage/storageAccounts";

/** Where a geo-redundant account's copy is. Source: "Azure region pairs"; a region without a pair has no copy elsewhere. */
const pairs: Record<string, string> = {
  westeurope: "northeurope",
  northeurope: "westeurope",
  germanywestcentral: "germanynorth",
  germanynorth: "germanywestcentral",
  eastus: "westus",
  eastus2: "centralus",
  westus2: "westcentralus",
  uksouth: "ukwest",
  francecentral: "francesouth",
  switzerlandnorth: "switzerlandwest",
  swedencentral: "swedensouth",
};

const zoneRedundant = (sku: string): boolean => sku.endsWith("ZRS");
const geoRedundant = (sku: string): boolean => /_(RA)?GZ?RS$/.test(sku);
const readable = (sku: string): boolean => sku.includes("_RA");

export const storageAccounts = (estate: Estate): ResourceType => ({
  type,
  manner: "storage",
  putInSeconds: 17,
  put: ({ id, name, body, existing }) => {
    const { location, tags, sku, kind, properties } = parseBody(storageAccountSchema, body);
    if (!/^[a-z0-9]{3,24}$/.test(name))
      throw new ArmError(
        400,
        "AccountNameInvalid",
        `${name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in length and use numbers and lower-case letters only.`,
      );
    const holder = holderOf(estate, name);
    if (holder !== undefined && !sameId(holder.id, id))
      throw new ArmError(409, "StorageAccountAlreadyTaken", `The storage account named ${name} is already taken.`);
    if (!skus.includes(sku.name))
      throw new ArmError(400, "SkuNameInvalid", `'${sku.name}' is not a valid SKU name. Allowed values: ${skus.join(", ")}.`);
    if (zoneRedundant(sku.name) && regions[location]?.zones.length === 0)
      throw new ArmError(
        400,
        "StorageAccountTypeNotSupported",
        `Storage account type '${sku.name}' is not supported in location '${location}'.`,
      );
    if (existing !== undefined) checkChange(existing, { sku: sku.name, kind });
    const secondary = geoRedundant(sku.name) ? pairs[location] : undefined;
    return {
      location,
      facts: { keys: existing?.facts["keys"] ?? newKeys(estate) },
      body: {
        sku: { name: sku.name, tier: sku.name.split("_")[0] },
        kind,
        id,
        name,
        type,
        location,
        tags: tags ?? {},
        properties: {
          keyCreationTime: existing?.body.properties["keyCreationTime"] ?? keyTimes(estate),
          ...properties,
          creationTime: existing?.body.properties["creationTime"] ?? new Date(estate.platform.now()).toISOString(),
          primaryLocation: location,
          statusOfPrimary: "available",
          primaryEndpoints: endpoints(name, ""),
          secondaryLocation: secondary,
          statusOfSecondary: secondary === undefined ? undefined : "available",
          secondaryEndpoints: secondary !== undefined && readable(sku.name) ? endpoints(name, "-secondary") : undefined,
        },
      },
    };
  },
});

const keyTimes = (estate: Estate): Json => {
  const now = new Date(estate.platform.now()).toISOString();
  return { key1: now, key2: now };
};

const endpoints = (name: string, suffix: string): Json =>
  Object.fromEntries(
    ["dfs", "web", "blob", "queue", "table", "file"].map((service) => [
      service,
      `https://${name}${suffix}.${service}.storage.azure.example/`,
    ]),
  );

function newKeys(estate: Estate): string[] {
  const keys = [randomBytes(64).toString("base64"), randomBytes(64).toString("base64")];
  for (const key of keys) estate.platform.secrets.add(key);
  return keys;
}

/** Locally and geo-redundant may become each other; to zones leads a conversion that is asked for elsewhere; kinds only grow. */
function checkChange({ name, body }: Stored, { sku, kind }: { sku: string; kind: string }): void {
  const before = (body["sku"] as { name: string }).name;
  if (before !== sku && (zoneRedundant(before) !== zoneRedundant(sku) || before.split("_")[0] !== sku.split("_")[0]))
    throw new ArmError(
      409,
      "StorageAccountTypeCannotBeChanged",
      `Storage account ${name}: changing the account type from ${before} to ${sku} is not supported by an update.`,
    );
  if (body["kind"] !== kind && kind !== "StorageV2")
    throw new ArmError(
      400,
      "AccountPropertyCannotBeUpdated",
      `The property 'kind' was specified in the input, but it cannot be updated as it is read-only.`,
      { target: "kind" },
    );
}

const holderOf = (estate: Estate, name: string): Stored | undefined =>
  estate.ofType(type).find((account) => account.name === name);

/** POST …/checkNameAvailability */
export function checkStorageName(estate: Estate, body: unknown): SimulatedResponse {
  const { name } = parseBody(z.looseObject({ name: z.string() }), body);
  if (!/^[a-z0-9]{3,24}$/.test(name))
    return {
      status: 200,
      body: {
        nameAvailable: false,
        reason: "AccountNameInvalid",
        message: `${name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in length and use numbers and lower-case letters only.`,
      },
    };
  if (holderOf(estate, name) === undefined) return { status: 200, body: { nameAvailable: true } };
  return {
    status: 200,
    body: { nameAvailable: false, reason: "AlreadyExists", message: `The storage account named ${name} is already taken.` },
  };
}

/** POST …/listKeys */
export const listKeys = ({ facts }: Stored): SimulatedResponse => ({
  status: 200,
  body: {
    keys: (facts["keys"] as string[]).map((value, index) => ({ keyName: `key${index + 1}`, value, permissions: "FULL" })),
  },
});
