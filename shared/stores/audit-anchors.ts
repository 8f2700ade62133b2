/**
 * Blobs in `audit-anchors`, named `<yyyymm>/<hour>.json`: where chains of the audit log ended, hour by hour. Each is created and never written
 * again; in Azure a locked policy of the container keeps anybody from changing or deleting it, the account's owner included.
 */
import type { Clock } from "../clock.ts";
import type { Anchor, ChainHead } from "./audit-chain.ts";
import type { Storage } from "./storage.ts";

export interface AuditAnchorStore {
  /** This hour's. False when it has one already, which stays. */
  add(heads: ChainHead[]): Promise<boolean>;
  /** The beginning of the hour of the newest one, of this month or the one before; whoever finds none anchors all there is. */
  latest(): Promise<string | undefined>;
  /** Oldest first. */
  all(): AsyncGenerator<Anchor, void>;
}

export function createAuditAnchorStore(storage: Storage, clock: Clock): AuditAnchorStore {
  const container = () => storage.container("audit-anchors");
  return {
    async add(heads) {
      const at = new Date(clock.now()).toISOString();
      const content = JSON.stringify({ at, heads });
      const blob = (await container()).getBlockBlobClient(nameOf(at));
      const upload = blob.upload(content, Buffer.byteLength(content), {
        conditions: { ifNoneMatch: "*" },
        blobHTTPHeaders: { blobContentType: "application/json" },
      });
      return upload.then(() => true, thereAlready);
    },
    async latest() {
      const now = new Date(clock.now());
      const monthBefore = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1));
      for (const month of [now, monthBefore]) {
        let newest: string | undefined;
        for await (const { name } of (await container()).listBlobsFlat({ prefix: `${monthOf(month.toISOString())}/` }))
          newest = name;
        if (newest !== undefined) return hourIn(newest);
      }
      return undefined;
    },
    async *all() {
      let names: string[] = [];
      for await (const { name } of (await container()).listBlobsFlat()) {
        names.push(name);
        if (names.length < READ_AT_ONCE) continue;
        yield* await Promise.all(names.map(read));
        names = [];
      }
      yield* await Promise.all(names.map(read));
    },
  };

  async function read(name: string): Promise<Anchor> {
    const content = await (await container()).getBlobClient(name).downloadToBuffer();
    return { name, ...(JSON.parse(content.toString()) as Omit<Anchor, "name">) };
  }
}

const READ_AT_ONCE = 32;

const monthOf = (at: string): string => at.slice(0, 7).replace("-", "");
const nameOf = (at: string): string => `${monthOf(at)}/${at.slice(0, 13)}.json`;
const hourIn = (name: string): string => `${name.slice(7, 20)}:00:00.000Z`;

/** 409 is also what the container's policy answers to whoever writes over a blob. */
function thereAlready(error: unknown): false {
  if (error instanceof Error && "statusCode" in error && (error.statusCode === 409 || error.statusCode === 412)) return false;
  throw error;
}
