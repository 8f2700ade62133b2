/** Missions B5, B6: a tenant's secrets live in a vault of its own, opened by role assignments, beside its gateway. */
import type { VaultProperties } from "@azure/arm-keyvault";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readFailure,
  removeOwned,
  refuseReplacement,
} from "../azure/owned.ts";
import { type Named, ownedBy, ownershipTags, regionName } from "../azure/place.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Resource } from "./resource.ts";

export type Vault = Named;

export interface ActualVault extends Provisioned {
  id: string;
  /** Where its secrets are: what references name. */
  url: string;
  region: string;
  entraTenantId: string;
  roleBasedAccess: boolean;
  softDelete: boolean;
}

/** A removed vault keeps its name and its secrets that long; Azure admits 7 to 90 and never lets it change. */
const RETENTION_IN_DAYS = 30;

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region" || path === "entraTenantId";

export const vault = ({ azure }: { azure: Azure }): Resource<Vault, ActualVault> => {
  const what = ({ name }: Vault): string => `vault ${name}`;
  const observe = (desired: Vault) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.keyVault()).vaults.get(desired.resourceGroup, desired.name),
      ({ id, location, properties }) => ({
        id: id ?? "",
        url: azure.environment.vault.url.replace("{name}", desired.name),
        region: regionName(location),
        entraTenantId: properties.tenantId.toLowerCase(),
        roleBasedAccess: properties.enableRbacAuthorization === true,
        // Azure leaves it out where it is on by default.
        softDelete: properties.enableSoftDelete !== false,
        // `RegisteringDns`: made, but its name does not resolve yet.
        provisioningState: provisioningStateOf(properties.provisioningState),
      }),
    );
  const write = (action: string, desired: Vault, more: Partial<VaultProperties> = {}) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.keyVault()).vaults.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.name,
        { location: desired.region, tags: ownershipTags(desired.owner), properties: { ...settings(desired), ...more } },
        { onResponse },
      ),
    );

  return {
    kind: "vault",
    fixed,
    observe,
    diff: (desired, actual) =>
      changesBetween(
        { region: desired.region, entraTenantId: desired.entraTenantId, roleBasedAccess: true, softDelete: true },
        actual,
      ),
    /** A vault that was removed a while ago still holds the name: our own is recovered, a stranger's is a conflict. */
    async create(desired) {
      const removed = await azure.read(desired, async (clients) =>
        (await clients.keyVault()).vaults.getDeleted(desired.name, desired.region),
      );
      if (removed.state === "unknown") throw readFailure(`removed vaults of the name of ${what(desired)}`, removed);
      if (removed.state === "absent") return write("creating", desired);
      if (!ownedBy(removed.actual.properties?.tags, desired.owner))
        throw new ControlPlaneError(
          "ForeignObject",
          `the name of ${what(desired)} is held by a removed vault that is not ours`,
          409,
        );
      return write("recovering", desired, { createMode: "recover" });
    },
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      // Only what is ours: a PUT would take others' network rules and tags away.
      return azure.begin(`updating ${what(desired)}`, desired, async (clients, onResponse) =>
        (await clients.keyVault()).vaults.update(
          desired.resourceGroup,
          desired.name,
          { properties: { enableRbacAuthorization: true, enableSoftDelete: true } },
          { onResponse },
        ),
      );
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.keyVault()).vaults.delete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

const settings = ({ entraTenantId }: Vault): VaultProperties => ({
  tenantId: entraTenantId,
  sku: { family: "A", name: "standard" },
  enableRbacAuthorization: true,
  enableSoftDelete: true,
  softDeleteRetentionInDays: RETENTION_IN_DAYS,
});
