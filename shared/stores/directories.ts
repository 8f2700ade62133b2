/**
 * Table `directories`: partition = partner, row = tenant: what is published, and how far the next run is. Blobs in `directories`, under
 * `<partner>/<tenant>/<run>/`: changes as they were read, the snapshot that they came to, the document. A document counts once the row names
 * its run, so that nobody ever sees half of one.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { PassThrough, pipeline } from "node:stream";
import { buffer } from "node:stream/consumers";
import { createGunzip, createGzip } from "node:zlib";
import { nothingThere, type Storage } from "./storage.ts";
import { createTable, packed, type Row, type StoredRow, unpacked, untilUncontested } from "./table.ts";

export type DirectoryKind = "users" | "groups";

/** A run that is under way. */
export interface DirectoryRun {
  id: string;
  /** Told from the beginning, since there is nothing to go on from. */
  full: boolean;
  /** Where each kind is: the page that comes next, or the link for the next run. Absent: not begun. */
  users: RunProgress;
  groups: RunProgress;
}

export interface RunProgress {
  /** Sorted files of changes that are written. */
  chunks: number;
  changes: number;
  next?: string | undefined;
  done?: string | undefined;
}

export interface Published {
  run: string;
  /** When its content last became another. */
  at: string;
  /** SHA-256 of the document, hexadecimal. */
  hash: string;
  bytes: number;
  users: number;
  groups: number;
}

export interface DirectoryRecord {
  partnerId: string;
  tenantId: string;
  run?: DirectoryRun | undefined;
  /** Where the next run goes on. */
  links?: Record<DirectoryKind, string> | undefined;
  published?: Published | undefined;
  /** A document that lost too much to be published by itself. */
  held?: { lost: number; of: number; at: string } | undefined;
  lookedAt?: string | undefined;
}

/** A file that is seen once it is whole. */
export interface WrittenFile {
  write(text: string): Promise<void>;
  close(): Promise<void>;
}

export interface DirectoryStore {
  /** Empty for a tenant that has none. */
  get(partnerId: string, tenantId: string): Promise<DirectoryRecord>;
  /** `decide` gives the next state of it, or nothing. */
  change(
    partnerId: string,
    tenantId: string,
    decide: (known: DirectoryRecord) => DirectoryRecord | undefined,
  ): Promise<DirectoryRecord>;
  /** Lines, without their ends. */
  read(path: string): AsyncGenerator<string>;
  /** Bytes of a file as it is stored, no more than `count`; undefined where there is no such file or it ends before. */
  piece(path: string, first: number, count: number): Promise<{ bytes: Buffer; of: number } | undefined>;
  /** A file whose name ends with `.gz` is packed, and read unpacked. */
  open(path: string): Promise<WrittenFile>;
  /** Everything below a path. */
  discard(path: string): Promise<void>;
  /** Row and files of a tenant that is gone. */
  forget(partnerId: string, tenantId: string): Promise<void>;
}

export const pathOf = ({ partnerId, tenantId }: Pick<DirectoryRecord, "partnerId" | "tenantId">, run: string): string =>
  `${partnerId}/${tenantId}/${run}`;

const BLOCK = 1024 * 1024;
const WRITTEN_AT_ONCE = 64 * 1024;

export function createDirectoryStore(storage: Storage): DirectoryStore {
  const table = createTable(storage, "directories");
  const container = () => storage.container("directories");

  async function get(partnerId: string, tenantId: string): Promise<DirectoryRecord & { etag?: string }> {
    const row = await table.get({ partitionKey: partnerId, rowKey: tenantId });
    return row ? { ...recordOf(row), etag: row.etag } : { partnerId, tenantId };
  }

  async function discard(path: string): Promise<void> {
    const blobs = await container();
    for await (const { name } of blobs.listBlobsFlat({ prefix: `${path}/` })) await blobs.deleteBlob(name).catch(nothingThere);
  }

  return {
    get,
    change: (partnerId, tenantId, decide) =>
      untilUncontested(`directory of ${tenantId}`, async () => {
        const { etag, ...known } = await get(partnerId, tenantId);
        const next = decide(known);
        if (next === undefined) return known;
        const written = await (etag === undefined ? table.create(rowOf(next)) : table.replace(rowOf(next), etag));
        return written.outcome === "done" ? next : undefined;
      }),
    async *read(path) {
      const { readableStreamBody } = await (await container()).getBlobClient(path).download();
      if (!readableStreamBody) return;
      const input = packs(path) ? pipeline(readableStreamBody, createGunzip(), () => undefined) : readableStreamBody;
      for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) yield line;
    },
    piece: async (path, first, count) => {
      const blob = (await container()).getBlobClient(path);
      const found = await blob.download(first, count).catch(nothingThere);
      const of = Number(/\/(\d+)$/.exec(found?.contentRange ?? "")?.[1]);
      return found?.readableStreamBody && { bytes: await buffer(found.readableStreamBody), of };
    },
    open: async (path) => {
      const through = packs(path) ? createGzip() : new PassThrough({ highWaterMark: BLOCK });
      // The blocks become a blob at the end, all at once.
      const uploaded = (await container()).getBlockBlobClient(path).uploadStream(through, BLOCK, 2);
      const failed = uploaded.catch((error: unknown) => void through.destroy(error instanceof Error ? error : undefined));
      through.on("error", () => undefined);
      // An entry at a time would be a hundred thousand small pieces of work for gzip.
      let pending = "";
      return {
        write: async (text) => {
          pending += text;
          if (pending.length < WRITTEN_AT_ONCE) return;
          const written = through.write(pending);
          pending = "";
          if (!written) await Promise.race([once(through, "drain"), failed]);
        },
        close: async () => {
          through.end(pending);
          await uploaded.catch(writtenMeanwhile);
        },
      };
    },
    discard,
    forget: async (partnerId, tenantId) => {
      await table.remove({ partitionKey: partnerId, rowKey: tenantId }, "*");
      await discard(`${partnerId}/${tenantId}`);
    },
  };
}

const packs = (path: string): boolean => path.endsWith(".gz");

/** Two who do the same write the same: whoever ends first throws the other's blocks away, and the file is there, whole. */
function writtenMeanwhile(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === "InvalidBlockList")) throw error;
}

const rowOf = ({ partnerId, tenantId, run, links, published, held, lookedAt }: DirectoryRecord): Row => ({
  partitionKey: partnerId,
  rowKey: tenantId,
  ...packed("run", run),
  ...packed("links", links),
  ...packed("published", published),
  ...packed("held", held),
  ...packed("lookedAt", lookedAt),
});

const recordOf = (row: StoredRow): DirectoryRecord => ({
  partnerId: row.partitionKey,
  tenantId: row.rowKey,
  run: unpacked(row, "run") as DirectoryRecord["run"],
  links: unpacked(row, "links") as DirectoryRecord["links"],
  published: unpacked(row, "published") as DirectoryRecord["published"],
  held: unpacked(row, "held") as DirectoryRecord["held"],
  lookedAt: unpacked(row, "lookedAt") as DirectoryRecord["lookedAt"],
});
