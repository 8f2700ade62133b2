/**
 * Manual, chapter 2.2; mission A4, A7: a storage account for what machines say while they start, copied as the spec has it.
 *
 * It stands in the machines' region and subscription, since boot diagnostics takes no other, and is neither premium nor kept in zones,
 * since boot diagnostics refuses both ("Troubleshoot boot diagnostics": StorageAccountTypeNotSupported). Shared keys stay on: Azure's
 * portal reads the log and the screenshot with one. Nothing in it is public, and nobody gets in without TLS 1.2.
 */
import type { StorageAccount as FoundAccount } from "@azure/arm-storage";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  refuseReplacement,
  removeOwned,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { Resource } from "./resource.ts";

export type DiagnosticsAccount = Named & {
  replication: NonNullable<TenantSpec["gateway"]["diagnostics"]>["replication"];
};

export interface ActualDiagnosticsAccount extends Provisioned {
  id: string;
  region: string;
  kind: string;
  replication: string;
  minimalTls: string;
  publicBlobs: boolean;
  httpsOnly: boolean;
  /** Where machines write. */
  blobUrl: string;
}

const KIND = "StorageV2";
const PREFIX = "Standard_";

/** What Azure never lets change. Copies may become geo-redundant and back. */
const fixed = (path: string): boolean => path === "region" || path === "kind";

export const diagnosticsAccount = ({ azure }: { azure: Azure }): Resource<DiagnosticsAccount, ActualDiagnosticsAccount> => {
  const what = ({ name }: DiagnosticsAccount): string => `storage account ${name}`;
  const get = (desired: DiagnosticsAccount) => async (clients: ReturnType<Azure["clients"]>) =>
    (await clients.storage()).storageAccounts.getProperties(desired.resourceGroup, desired.name);
  const observe = (desired: DiagnosticsAccount) => observeOwned(azure, what(desired), desired, get(desired), actualOf);
  const write = (action: string, desired: DiagnosticsAccount, found: FoundAccount | undefined) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.storage()).storageAccounts.beginCreate(
        desired.resourceGroup,
        desired.name,
        {
          location: desired.region,
          kind: KIND,
          sku: { name: PREFIX + desired.replication },
          tags: { ...found?.tags, ...ownershipTags(desired.owner) },
          minimumTlsVersion: "TLS1_2",
          allowBlobPublicAccess: false,
          enableHttpsTrafficOnly: true,
        },
        { onResponse },
      ),
    );

  return {
    kind: "diagnosticsAccount",
    fixed,
    observe,
    diff: ({ region, replication }, actual) =>
      changesBetween<Omit<ActualDiagnosticsAccount, "id" | "blobUrl" | "provisioningState">>(
        { region, kind: KIND, replication, minimalTls: "TLS1_2", publicBlobs: false, httpsOnly: true },
        actual,
      ),
    create: (desired) => write("creating", desired, undefined),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      return write("updating", desired, await readBeforeWriting(azure, what(desired), desired, get(desired)));
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.storage()).storageAccounts.delete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

const actualOf = (found: FoundAccount): ActualDiagnosticsAccount => ({
  id: found.id ?? "",
  region: regionName(found.location),
  kind: found.kind ?? "",
  replication: (found.sku?.name ?? "").replace(PREFIX, ""),
  minimalTls: found.minimumTlsVersion ?? "TLS1_0",
  publicBlobs: found.allowBlobPublicAccess ?? true,
  httpsOnly: found.enableHttpsTrafficOnly ?? false,
  blobUrl: found.primaryEndpoints?.blob ?? "",
  provisioningState: provisioningStateOf(found.provisioningState),
});
