/** The partner's doors to a tenant's directory. */
import type { DurableClient } from "durable-functions";
import type { DirectoryState } from "../../shared/api/directory.ts";
import { endpoint, type Handler } from "../../shared/api/endpoint.ts";
import { refusal } from "../../shared/api/error-codes.ts";
import { partnerInScope } from "../../shared/api/scope.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { directoriesOnMachines } from "./machines.ts";
import { isServed, startRefresh } from "./refreshes.ts";
import type { DirectoryFunctions } from "./world.ts";

/** GET /api/tenants/{tenantId}/directory */
export const getDirectory =
  ({ stores }: ApiWorld): Handler<"getDirectory"> =>
  async ({ caller, params: { tenantId }, query }) => {
    const tenant = await stores.tenants.get(partnerInScope(caller, query.partnerId), tenantId);
    return { body: await directoryBody(stores, tenant) };
  };

/** POST /api/tenants/{tenantId}/directory/refresh */
export const startDirectoryRefresh = (world: ApiWorld & Pick<DirectoryFunctions, "pace">, client: DurableClient) =>
  endpoint("startDirectoryRefresh", world, async ({ caller, params: { tenantId }, query, body }) => {
    const tenant = await world.stores.tenants.get(partnerInScope(caller, query.partnerId), tenantId);
    if (!isServed(tenant))
      throw refusal("DirectoryNotServed", `tenant ${tenantId} names no directory in its spec, or has no pilot yet`);
    await startRefresh(world, client, tenant, body?.lossAccepted ?? false);
    return { status: 202 as const, body: await directoryBody(world.stores, tenant) };
  });

async function directoryBody(stores: Stores, tenant: TenantRecord): Promise<DirectoryState> {
  const { run, published, held, lookedAt } = await stores.directories.get(tenant.partnerId, tenant.id);
  const { run: _run, ...shown } = published ?? {};
  const machines = await directoriesOnMachines(stores, tenant, published);
  return {
    state: held ? "held" : run ? "reading" : published ? "published" : "none",
    ...(published ? { published: shown as DirectoryState["published"] } : {}),
    ...(machines ? { machines } : {}),
    ...(held ? { held } : {}),
    ...(lookedAt === undefined ? {} : { lookedAt }),
  };
}
