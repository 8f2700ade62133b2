/** Manual, chapter 1; mission A9: a database of iQ.Suite or of WebClient in Azure SQL. */
import type { Database as FoundDatabase } from "@azure/arm-sql";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  readBeforeWriting,
  refuseReplacement,
  removeOwned,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import { provisioningStateOfSql } from "../azure/sql.ts";
import type { AzureSql } from "../tenants/spec.ts";
import type { PropertyChange, Resource } from "./resource.ts";

export type SqlDatabase = Named & { server: string } & Pick<AzureSql, "sku" | "backups">;

export interface ActualSqlDatabase extends Provisioned {
  id: string;
  region: string;
  sku: string;
  maxSizeInGigabytes: number;
  zoneRedundant: boolean;
  /** As asked for: Azure moves existing backups by and by. */
  backups: string;
}

const GIGABYTE = 1024 ** 3;
/** What a size includes without extra cost. Source: "Single database storage sizes and compute sizes", DTU model. */
const maxSizes: Record<AzureSql["sku"], number> = { Basic: 2, S0: 250, S1: 250, S2: 250, S3: 250 };

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region";

export const sqlDatabase = ({ azure }: { azure: Azure }): Resource<SqlDatabase, ActualSqlDatabase> => {
  const what = ({ server, name }: SqlDatabase): string => `database ${name} of SQL server ${server}`;
  const observe = (desired: SqlDatabase) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.sql()).databases.get(desired.resourceGroup, desired.server, desired.name),
      actualOf,
    );
  const write = (action: string, desired: SqlDatabase, found: FoundDatabase | undefined) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.sql()).databases.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.server,
        desired.name,
        {
          location: desired.region,
          tags: { ...found?.tags, ...ownershipTags(desired.owner) },
          ...(found?.collation === undefined ? {} : { collation: found.collation }),
          ...partsOf(desired, () => true),
        },
        { onResponse },
      ),
    );

  return {
    kind: "sqlDatabase",
    fixed,
    observe,
    diff: ({ region, sku, backups }, actual) =>
      changesBetween<Omit<ActualSqlDatabase, "id" | "provisioningState">>(
        { region, sku, maxSizeInGigabytes: maxSizes[sku], zoneRedundant: false, backups },
        actual,
      ),
    create: (desired) => write("creating", desired, undefined),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      if (changes.some(({ path }) => path === "provisioningState")) {
        const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
          (await clients.sql()).databases.get(desired.resourceGroup, desired.server, desired.name),
        );
        return write("creating again", desired, found);
      }
      return azure.begin(`updating ${what(desired)}`, desired, async (clients, onResponse) =>
        (await clients.sql()).databases.beginUpdate(
          desired.resourceGroup,
          desired.server,
          desired.name,
          partsOf(desired, among(changes)),
          { onResponse },
        ),
      );
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.sql()).databases.beginDelete(desired.resourceGroup, desired.server, desired.name, { onResponse }),
      ),
  };
};

const among =
  (changes: PropertyChange[]) =>
  (path: string): boolean =>
    changes.some((one) => one.path === path);

const partsOf = ({ sku, backups }: SqlDatabase, wanted: (path: keyof ActualSqlDatabase) => boolean) => ({
  ...(wanted("sku") ? { sku: { name: sku, tier: sku === "Basic" ? "Basic" : "Standard" } } : {}),
  ...(wanted("maxSizeInGigabytes") ? { maxSizeBytes: maxSizes[sku] * GIGABYTE } : {}),
  ...(wanted("zoneRedundant") ? { zoneRedundant: false } : {}),
  ...(wanted("backups") ? { requestedBackupStorageRedundancy: backups } : {}),
});

const actualOf = (found: FoundDatabase): ActualSqlDatabase => ({
  id: found.id ?? "",
  region: regionName(found.location),
  // Azure shows Standard as the name, and the size in what it was asked for.
  sku: found.requestedServiceObjectiveName ?? found.sku?.name ?? "",
  maxSizeInGigabytes: (found.maxSizeBytes ?? 0) / GIGABYTE,
  zoneRedundant: found.zoneRedundant === true,
  backups: found.requestedBackupStorageRedundancy ?? "",
  provisioningState: provisioningStateOfSql(found.status),
});
