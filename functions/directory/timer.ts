/** The timer's door: every directory that is wanted is looked at. */
import type { DurableClient } from "durable-functions";
import { everyOne } from "../../shared/stores/pages.ts";
import { isServed, startRefresh } from "./refreshes.ts";
import type { DirectoryFunctions } from "./world.ts";

const PAGE_SIZE = 100;

export const refreshDirectories = (world: DirectoryFunctions, client: DurableClient) => async (): Promise<void> => {
  const { stores, log } = world;
  let started = 0;
  for await (const { id } of everyOne((after) => stores.partners.list(PAGE_SIZE, after)))
    for await (const tenant of everyOne((after) => stores.tenants.list(id, PAGE_SIZE, after)))
      if (isServed(tenant)) {
        await startRefresh(world, client, tenant, false);
        started += 1;
      }
  log.information("directories are looked at", { started });
};
