/**
 * Table `directories`: partition = partner, row = tenant: what is published, and how far the next run is. Blobs in `directories`, under
 * `<partner>/<tenant>/<run>/`: changes as they were read, the snapshot that they came to, the document. A document counts once the row names
 * its run, so that nobody ever sees half of one.
 */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import type { Storage } from "./storage.ts";
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
  open(path: string): Promise<WrittenFile>;
  /** Everything below a path. */
  discard(path: string): Promise<void>;
}

export const pathOf = ({ partnerId, tenantId }: Pick<DirectoryRecord, "partnerId" | "tenantId">, run: string): string =>
  `${partnerId}/${tenantId}/${run}`;

const BLOCK = 1024 * 1024;

export function createDirectoryStore(storage: Storage): DirectoryStore {
  const table = createTable(storage, "directories");
  const container = () => storage.container("directories");

  async function get(partnerId: string, tenantId: string): Promise<DirectoryRecord & { etag?: string }> {
    const row = await table.get({ partitionKey: partnerId, rowKey: tenantId });
    return row ? { ...recordOf(row), etag: row.etag } : { partnerId, tenantId };
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
      for await (const line of createInterface({ input: readableStreamBody, crlfDelay: Number.POSITIVE_INFINITY })) yield line;
    },
    open: async (path) => {
      const through = new PassThrough({ highWaterMark: BLOCK });
      // The blocks become a blob at the end, all at once.
      const uploaded = (await container()).getBlockBlobClient(path).uploadStream(through, BLOCK, 2);
      const failed = uploaded.catch((error: unknown) => void through.destroy(error instanceof Error ? error : undefined));
      through.on("error", () => undefined);
      return {
        write: async (text) => {
          if (!through.write(text)) await Promise.race([once(through, "drain"), failed]);
        },
        close: async () => {
          through.end();
          await uploaded;
        },
      };
    },
    discard: async (path) => {
      const blobs = await container();
      for await (const { name } of blobs.listBlobsFlat({ prefix: `${path}/` })) await blobs.deleteBlob(name).catch(gone);
    },
  };
}

function gone(error: unknown): void {
  if (!(error instanceof Error && "statusCode" in error && error.statusCode === 404)) throw error;
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
