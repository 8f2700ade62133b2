/**
 * Table `credentials`: partition `b00` to `b15` by the tenant, row `<partnerId>_<tenantId>_<name>`, so that a sweep reads sixteen partitions
 * side by side; and for each a second row, partition `v_<vault>_<secret>`, by which an event of that vault finds its credential. Rows hold
 * references and dates, never a secret.
 */
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { refusal } from "../api/error-codes.ts";
import {
  type ClientSecretName,
  clientSecretNames,
  type CredentialName,
  type PasswordName,
  passwordNames,
  secretNames,
} from "../vault/credential-names.ts";
import type { SecretReference } from "../vault/reference.ts";
import { rowsBeginning, where } from "./filter.ts";
import type { Storage } from "./storage.ts";
import { createTable, type Page, packed, type StoredRow, unpacked, untilUncontested } from "./table.ts";

export interface CredentialKey {
  partnerId: string;
  tenantId: string;
  name: CredentialName;
}

/** One version that is or was in use. */
export interface CredentialVersion {
  reference: SecretReference;
  /** Entra's id of it; of a certificate its thumbprint; of all else its version in the vault. */
  keyId: string;
  /** ISO 8601, as all dates here: since when it is good; where it is left out, since it came into use. */
  madeAt?: string;
  /** Left out where it never expires. */
  expiresAt?: string;
}

export interface CredentialRecord extends CredentialKey {
  vaultUrl: string;
  /** Object id and client id of the application that it belongs to; empty where it belongs to none. */
  objectId: string;
  clientId: string;
  /** Counts rotations, from 1. */
  generation: number;
  current?: CredentialVersion;
  /** Valid until the overlap is over. */
  previous?: CredentialVersion;
  /** Until when the previous one stays, where no rotation waits for that; ISO 8601. */
  keptUntil?: string;
  /** When the current one came into use; ISO 8601. */
  rotatedAt?: string;
  /** The rotation under way: its operation and the generation that it makes. */
  rotation?: { operationId: string; generation: number };
  updatedAt: string;
}

export type NewCredential = CredentialKey & Pick<CredentialRecord, "vaultUrl" | "objectId" | "clientId" | "current">;
export type CredentialChange = Partial<Pick<CredentialRecord, "generation" | "current" | "rotatedAt" | "keptUntil">> & {
  previous?: CredentialVersion | null;
  rotation?: CredentialRecord["rotation"] | null;
};

export interface CredentialStore {
  /** What is there stays. */
  add(credential: NewCredential): Promise<void>;
  find(key: CredentialKey): Promise<CredentialRecord | undefined>;
  /** By the vault's URL and the secret's name, as an event of the vault tells them. */
  findBySecret(vaultUrl: string, secretName: string): Promise<CredentialRecord | undefined>;
  /** If-Match loop; `decide` gives what to change or `undefined`, and may run several times. Throws CredentialNotFound. */
  change(key: CredentialKey, decide: (credential: CredentialRecord) => CredentialChange | undefined): Promise<CredentialRecord>;
  /** All of the fleet, for the sweep. */
  all(): Promise<CredentialRecord[]>;
  list(partnerId: string, tenantId: string): Promise<CredentialRecord[]>;
  /** Nothing is rotated any more, and no event finds a credential. */
  removeAll(partnerId: string, tenantId: string): Promise<void>;
}

/** The generation of the guest's document: it grows with each rotation of a credential that it holds. */
export const guestGenerationOf = (credentials: Pick<CredentialRecord, "name" | "generation">[]): number =>
  credentials.filter(inDocument).reduce((sum, { generation }) => sum + generation - 1, 1);

/** The reference of each client secret that is in use, by its name. */
export const secretsInUse = (
  credentials: Pick<CredentialRecord, "name" | "current">[],
): Partial<Record<ClientSecretName, SecretReference>> =>
  Object.fromEntries(
    credentials.flatMap(({ name, current }) => (current && isClientSecret(name) ? [[name, current.reference]] : [])),
  );

/** Thumbprint of the certificate that gateways keep beside the one that they show. */
export const keptCertificateOf = (credentials: Pick<CredentialRecord, "name" | "previous">[]): { keptCertificate?: string } => {
  const kept = credentials.find(({ name }) => name === "smtpCertificate")?.previous?.keyId;
  return kept === undefined ? {} : { keptCertificate: kept };
};

export const isClientSecret = (name: CredentialName): name is ClientSecretName => clientSecretNames.some((one) => one === name);

export const isPassword = (name: CredentialName): name is PasswordName => passwordNames.some((one) => one === name);

/** Passwords go to the machines in a document of their own. */
const inDocument = ({ name }: Pick<CredentialRecord, "name">): boolean => !isPassword(name);

/** From its claim to its flip a rotation writes the guest's document: meanwhile nobody else does. */
export const writingDocument = (credential: Pick<CredentialRecord, "name" | "rotation" | "generation">): boolean =>
  inDocument(credential) && rotating(credential);

/** From its claim to its flip a rotation gives machines the next one. */
export const rotating = ({ rotation, generation }: Pick<CredentialRecord, "rotation" | "generation">): boolean =>
  rotation !== undefined && rotation.generation > generation;

/**
 * Whether a rotation of that generation may begin. In an emergency the next one is made even while an old one is left over, or another
 * rotation only waits for its overlap: that one then leaves the rest to the newer. One that failed after its flip may do its own rest.
 */
export const mayBegin = (
  credential: Pick<CredentialRecord, "generation" | "previous" | "rotation">,
  generation: number,
  emergency = false,
): boolean =>
  (emergency && !rotating(credential) && credential.generation + 1 === generation) ||
  (credential.rotation === undefined && generationToMake(credential) === generation);

/** The next one; or the one that is current already, when its rotation failed before the old secret was revoked. */
export const generationToMake = ({ generation, previous }: Pick<CredentialRecord, "generation" | "previous">): number =>
  previous === undefined ? generation + 1 : generation;

const BUCKETS = 16;

export function createCredentialStore(storage: Storage, clock: Clock): CredentialStore {
  const table = createTable(storage, "credentials");
  const now = () => new Date(clock.now()).toISOString();

  async function find(key: CredentialKey): Promise<(CredentialRecord & { etag: string }) | undefined> {
    const row = await table.get(keyOf(key));
    return row && { ...recordOf(row), etag: row.etag };
  }

  async function list(partnerId: string, tenantId: string): Promise<CredentialRecord[]> {
    const { items }: Page<StoredRow> = await table.page(
      rowsBeginning(partitionOf(partnerId, tenantId), `${partnerId}_${tenantId}_`),
      100,
    );
    return items.map(recordOf);
  }

  return {
    add: async (credential) => {
      const { partnerId, tenantId, name, vaultUrl } = credential;
      await table.create(rowOf({ ...credential, generation: 1, updatedAt: now() }));
      const pointer = pointerKey(vaultUrl, secretNames[name]);
      await table.create({ ...pointer, partnerId, tenantId, name });
    },
    find: async (key) => without(await find(key)),
    findBySecret: async (vaultUrl, secretName) => {
      const pointer = await table.get(pointerKey(vaultUrl, secretName));
      if (!pointer) return undefined;
      const [partnerId, tenantId] = [String(pointer["partnerId"]), String(pointer["tenantId"])];
      return without(await find({ partnerId, tenantId, name: pointer["name"] as CredentialKey["name"] }));
    },
    change: async (key, decide) =>
      untilUncontested(`credential ${key.name} of ${key.tenantId}`, async () => {
        const known = await find(key);
        if (!known) throw refusal("CredentialNotFound", `there is no credential ${key.name} of tenant ${key.tenantId}`);
        const { etag, ...record } = known;
        const changed = decide(record);
        if (changed === undefined) return record;
        const next = applied(record, changed, now());
        const written = await table.replace(rowOf(next), etag);
        return written.outcome === "done" ? next : undefined;
      }),
    all: async () => {
      const buckets = Array.from({ length: BUCKETS }, (_, index) => bucket(index));
      const rows = await Promise.all(buckets.map((partition) => table.all(where("PartitionKey", "eq", partition))));
      return rows.flat().map(recordOf);
    },
    list,
    removeAll: async (partnerId, tenantId) => {
      for (const { name, vaultUrl } of await list(partnerId, tenantId)) {
        await table.remove(pointerKey(vaultUrl, secretNames[name]), "*");
        await table.remove(keyOf({ partnerId, tenantId, name }), "*");
      }
    },
  };
}

const bucket = (index: number): string => `b${String(index).padStart(2, "0")}`;
const partitionOf = (partnerId: string, tenantId: string): string =>
  bucket((createHash("sha1").update(`${partnerId}_${tenantId}`).digest()[0] ?? 0) % BUCKETS);
const keyOf = ({ partnerId, tenantId, name }: CredentialKey) => ({
  partitionKey: partitionOf(partnerId, tenantId),
  rowKey: `${partnerId}_${tenantId}_${name}`,
});

/** Vault URLs have characters that keys must not have; a vault's name alone would not tell clouds apart. */
function pointerKey(vaultUrl: string, secretName: string): { partitionKey: string; rowKey: string } {
  const key = `v_${createHash("sha256").update(vaultUrl.toLowerCase()).digest("hex").slice(0, 32)}_${secretName.toLowerCase()}`;
  return { partitionKey: key, rowKey: key };
}

function applied(
  record: CredentialRecord,
  { previous, rotation, ...rest }: CredentialChange,
  updatedAt: string,
): CredentialRecord {
  const { previous: knownPrevious, rotation: knownRotation, ...kept } = record;
  const nextPrevious = previous === undefined ? knownPrevious : previous;
  const nextRotation = rotation === undefined ? knownRotation : rotation;
  return {
    ...kept,
    ...rest,
    ...(nextPrevious ? { previous: nextPrevious } : {}),
    ...(nextRotation ? { rotation: nextRotation } : {}),
    updatedAt,
  };
}

const rowOf = ({ current, previous, rotation, ...record }: CredentialRecord) => ({
  ...keyOf(record),
  ...record,
  ...packed("current", current),
  ...packed("previous", previous),
  ...packed("rotation", rotation),
});

const optional = <Name extends string, Value>(name: Name, value: Value | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { [Key in Name]?: Value };

const recordOf = (row: StoredRow): CredentialRecord => ({
  partnerId: String(row["partnerId"]),
  tenantId: String(row["tenantId"]),
  name: row["name"] as CredentialKey["name"],
  vaultUrl: String(row["vaultUrl"]),
  objectId: String(row["objectId"]),
  clientId: String(row["clientId"]),
  generation: Number(row["generation"]),
  ...optional("current", unpacked(row, "current") as CredentialVersion | undefined),
  ...optional("previous", unpacked(row, "previous") as CredentialVersion | undefined),
  ...optional("keptUntil", row["keptUntil"] as string | undefined),
  ...optional("rotatedAt", row["rotatedAt"] as string | undefined),
  ...optional("rotation", unpacked(row, "rotation") as NonNullable<CredentialRecord["rotation"]> | undefined),
  updatedAt: String(row["updatedAt"]),
});

function without(record: (CredentialRecord & { etag: string }) | undefined): CredentialRecord | undefined {
  if (!record) return undefined;
  const { etag: _etag, ...rest } = record;
  return rest;
}
