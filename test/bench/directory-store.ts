/** Directories in files of one folder: what is measured over them is our code and not a storage account's. */
import { createReadStream, createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream";
import { createGunzip, createGzip } from "node:zlib";
import { createInterface } from "node:readline";
import type { DirectoryRecord, DirectoryStore } from "../../shared/stores/directories.ts";

/** As the store in the cloud does. */
const WRITTEN_AT_ONCE = 64 * 1024;

export function directoryFiles(folder: string): Omit<DirectoryStore, "piece" | "forget"> {
  mkdirSync(folder, { recursive: true });
  const row = join(folder, "row.json");
  const get: DirectoryStore["get"] = async (partnerId, tenantId) =>
    existsSync(row) ? (JSON.parse(readFileSync(row, "utf8")) as DirectoryRecord) : { partnerId, tenantId };
  return {
    get,
    change: async (partnerId, tenantId, decide) => {
      const known = await get(partnerId, tenantId);
      const next = decide(known);
      if (next) writeFileSync(row, JSON.stringify(next));
      return next ?? known;
    },
    async *read(path) {
      const file = createReadStream(join(folder, path));
      yield* createInterface({ input: path.endsWith(".gz") ? pipeline(file, createGunzip(), () => undefined) : file });
    },
    open: async (path) => {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      const written = createWriteStream(file);
      const stream = path.endsWith(".gz") ? createGzip() : written;
      if (stream !== written) stream.pipe(written);
      let pending = "";
      return {
        write: async (text) => {
          pending += text;
          if (pending.length < WRITTEN_AT_ONCE) return;
          const more = stream.write(pending);
          pending = "";
          if (!more) await once(stream, "drain");
        },
        close: async () => {
          stream.end(pending);
          await once(written, "close");
        },
      };
    },
    discard: async (path) => rmSync(join(folder, path), { recursive: true, force: true }),
  };
}
