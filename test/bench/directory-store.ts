/** Directories in files of one folder: what is measured over them is our code and not a storage account's. */
import { createReadStream, createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { DirectoryRecord, DirectoryStore } from "../../shared/stores/directories.ts";

export function directoryFiles(folder: string): DirectoryStore {
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
      yield* createInterface({ input: createReadStream(join(folder, path)) });
    },
    open: async (path) => {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      const stream = createWriteStream(file);
      return {
        write: async (text) => {
          if (!stream.write(text)) await once(stream, "drain");
        },
        close: async () => {
          stream.end();
          await once(stream, "close");
        },
      };
    },
    discard: async (path) => rmSync(join(folder, path), { recursive: true, force: true }),
  };
}
