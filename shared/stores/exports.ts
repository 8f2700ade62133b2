/** Blobs in `exports`, named `<partner>/<tenant>/<operation>.json`: what stood of a tenant before it was taken away. Which one counts, its row says. */
import type { TenantExport } from "../api/export.ts";
import { nothingThere, type Storage } from "./storage.ts";

export interface ExportKey {
  partnerId: string;
  tenantId: string;
  operationId: string;
}

export interface ExportStore {
  keep(key: ExportKey, document: TenantExport): Promise<void>;
  get(key: ExportKey): Promise<TenantExport | undefined>;
  /** All of a tenant whose record goes. */
  forget(tenant: Omit<ExportKey, "operationId">): Promise<void>;
}

export function createExportStore(storage: Storage): ExportStore {
  const container = () => storage.container("exports");
  return {
    async keep(key, document) {
      const content = JSON.stringify(document);
      const blob = (await container()).getBlockBlobClient(nameOf(key));
      await blob.upload(content, Buffer.byteLength(content), { blobHTTPHeaders: { blobContentType: "application/json" } });
    },
    async get(key) {
      const content = await (await container()).getBlobClient(nameOf(key)).downloadToBuffer().catch(nothingThere);
      return content && (JSON.parse(content.toString()) as TenantExport);
    },
    async forget({ partnerId, tenantId }) {
      const blobs = await container();
      for await (const { name } of blobs.listBlobsFlat({ prefix: `${partnerId}/${tenantId}/` }))
        await blobs.getBlobClient(name).deleteIfExists();
    },
  };
}

const nameOf = ({ partnerId, tenantId, operationId }: ExportKey): string => `${partnerId}/${tenantId}/${operationId}.json`;
