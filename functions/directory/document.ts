/** The machines' door to their tenant's directory. */
import { agentAt } from "../../shared/api/agents.ts";
import type { Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import { documentPath } from "../../shared/directory/refresh.ts";
import { pathOf, type Published } from "../../shared/stores/directories.ts";
import { isServed } from "./refreshes.ts";

/** What is in memory for one request: Azure Functions hands an answer over whole. */
const MOST_BYTES = 4 * 1024 * 1024;

/** GET /api/agents/{vmId}/directory */
export const getDirectoryDocument =
  ({ stores }: ApiWorld): Handler<"getDirectoryDocument"> =>
  async ({ caller, params: { vmId }, headers: { range }, isKnown }) => {
    const { partnerId, tenantId } = await agentAt(stores.heartbeats, caller, vmId);
    const count = Math.min(range.last - range.first + 1, MOST_BYTES);
    const publishedNow = async (): Promise<Published | undefined> => {
      const tenant = await stores.tenants.find(partnerId, tenantId);
      const fetches = tenant !== undefined && isServed(tenant) && tenant.spec.directory?.file !== undefined;
      return fetches ? (await stores.directories.get(partnerId, tenantId)).published : undefined;
    };
    for (let before: Published | undefined; ; ) {
      const published = await publishedNow();
      if (published === undefined) throw refusal("DirectoryNotPublished", `no directory is published for the machine ${vmId}`);
      const { run, hash } = published;
      if (isKnown(hash)) return { etag: hash };
      const piece = await stores.directories.piece(documentPath(pathOf({ partnerId, tenantId }, run)), range.first, count);
      if (piece) {
        const { bytes, of } = piece;
        const contentRange = `bytes ${range.first}-${range.first + bytes.length - 1}/${of}`;
        const headers = { "content-type": "application/gzip", "content-range": contentRange };
        return { status: 206, body: bytes, etag: hash, headers };
      }
      // A new one that was published meanwhile has taken the old one away.
      if (before?.run === run)
        throw refusal("RangeNotSatisfiable", `the document ends before byte ${range.first}`, { target: "Range" });
      before = published;
    }
  };
