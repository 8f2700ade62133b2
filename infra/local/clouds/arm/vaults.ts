/** Microsoft.KeyVault/vaults as Resource Manager sees them, with soft delete; their secrets are Key Vault's own matter. */
import * as z from "zod";
import type { SimulatedResponse } from "../simulator.ts";
import { ArmError, page, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { keyOf, sameId, type DeletedVault, type Estate, type Stored } from "./estate.ts";
import type { Put, ResourceType } from "./resource-type.ts";

const vaultSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({
    tenantId: z.uuid(),
    sku: z.looseObject({ family: z.literal("A"), name: z.enum(["standard", "premium"]) }),
    accessPolicies: z.array(z.unknown()).optional(),
    /** True unless said otherwise, since api-version 2026-02-01. */
    enableRbacAuthorization: z.boolean().default(true),
    enableSoftDelete: z.boolean().optional(),
    softDeleteRetentionInDays: z.number().int().min(7).max(90).default(90),
    enablePurgeProtection: z.boolean().optional(),
    createMode: z.enum(["default", "recover"]).default("default"),
    publicNetworkAccess: z.string().default("Enabled"),
  }),
});

const type = "Microsoft.KeyVault/vaults";
const DAY = 86_400_000;

export const vaults = (estate: Estate): ResourceType => ({
  type,
  manner: "sync",
  put: (put) => acceptVault(estate, put),
  deleted: (resource) => {
    const deletedAt = estate.platform.now();
    const retention = Number(resource.body.properties["softDeleteRetentionInDays"]) * DAY;
    estate.deletedVaults.set(resource.name.toLowerCase(), { resource, deletedAt, scheduledPurgeAt: deletedAt + retention });
  },
});

function acceptVault(estate: Estate, { id, name, body, existing }: Put): { location: string; body: Json & { properties: Json } } {
  const { location, tags, properties } = parseBody(vaultSchema, body);
  if (!validName(name))
    throw new ArmError(
      400,
      "VaultNameNotValid",
      `The vault name '${name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this link for more information: https://go.microsoft.com/fwlink/?linkid=2147742`,
    );
  const { createMode, enableSoftDelete, ...kept } = properties;
  if (enableSoftDelete === false)
    throw new ArmError(
      400,
      "BadRequest",
      "The property \"enableSoftDelete\" can be set to false only for creating new vault. Enabling the 'soft delete' functionality is an irreversible action.",
    );
  const before = existing?.body.properties;
  if (before?.["enablePurgeProtection"] === true && properties.enablePurgeProtection === false)
    throw new ArmError(
      400,
      "BadRequest",
      'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.',
    );
  if (!properties.enableRbacAuthorization && properties.accessPolicies === undefined)
    throw new ArmError(400, "BadRequest", "The parameter accessPolicies is not specified.");
  if (before !== undefined && !sameId(before["tenantId"], properties.tenantId))
    throw new ArmError(400, "VaultTenantChangeNotAllowed", "The tenant of a vault cannot be changed by this request.");
  if (existing === undefined) checkName(estate, name, id, createMode);
  const recovered = estate.deletedVaults.get(name.toLowerCase())?.resource;
  if (recovered !== undefined) estate.deletedVaults.delete(name.toLowerCase());
  return {
    location,
    body: {
      id,
      name,
      type,
      location,
      tags: tags ?? {},
      properties: {
        ...(createMode === "recover" ? recovered?.body.properties : {}),
        ...kept,
        accessPolicies: properties.accessPolicies ?? [],
        enabledForDeployment: kept["enabledForDeployment"] ?? false,
        enableSoftDelete: true,
        vaultUri: `${estate.platform.environment.vault.url.replace("{name}", name)}/`,
        provisioningState: "Succeeded",
      },
    },
  };
}

const validName = (name: string): boolean => /^[a-zA-Z](?!.*--)[a-zA-Z0-9-]{1,22}[a-zA-Z0-9]$/.test(name);

/** A vault's name is its host's name: one in the world, and a deleted one keeps it until it is purged. */
function checkName(estate: Estate, name: string, id: string, createMode: "default" | "recover"): void {
  const deleted = estate.deletedVaults.get(name.toLowerCase());
  if (deleted !== undefined && (createMode !== "recover" || !sameId(deleted.resource.id, id)))
    throw new ArmError(
      409,
      "ConflictError",
      `A vault with the same name already exists in deleted state. You need to either recover or purge existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.`,
    );
  if (createMode === "recover" && deleted === undefined)
    throw new ArmError(400, "BadRequest", `The vault '${name}' cannot be recovered: there is no deleted vault of that name.`);
  if (findVault(estate, name) !== undefined)
    throw new ArmError(
      409,
      "VaultAlreadyExists",
      `The vault name '${name}' is already in use. Vault names are globally unique so it is possible that the name is already taken. If you are sure that the vault name was not taken then it is possible that a vault with the same name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a recoverable state then the vault will need to be purged before reusing the name. For more information about VaultAlreadyExists, soft delete and purging a vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740.`,
    );
}

export const findVault = (estate: Estate, name: string): Stored | undefined =>
  estate.ofType(type).find((vault) => vault.name.toLowerCase() === name.toLowerCase());

export function checkVaultName(estate: Estate, body: unknown): SimulatedResponse {
  const { name } = parseBody(z.looseObject({ name: z.string() }), body);
  if (!validName(name))
    return {
      status: 200,
      body: { nameAvailable: false, reason: "AccountNameInvalid", message: `The vault name '${name}' is invalid.` },
    };
  const taken = findVault(estate, name) !== undefined || estate.deletedVaults.get(name.toLowerCase()) !== undefined;
  return {
    status: 200,
    body: taken
      ? { nameAvailable: false, reason: "AlreadyExists", message: `The vault name '${name}' is already in use.` }
      : { nameAvailable: true },
  };
}

const deletedBody = (subscriptionId: string, { resource, deletedAt, scheduledPurgeAt }: DeletedVault): Json => ({
  id: `/subscriptions/${subscriptionId}/providers/Microsoft.KeyVault/locations/${resource.location}/deletedVaults/${resource.name}`,
  name: resource.name,
  type: "Microsoft.KeyVault/deletedVaults",
  properties: {
    vaultId: resource.id,
    location: resource.location,
    tags: resource.body["tags"] ?? {},
    deletionDate: new Date(deletedAt).toISOString(),
    scheduledPurgeDate: new Date(scheduledPurgeAt).toISOString(),
    ...(resource.body.properties["enablePurgeProtection"] === true ? { purgeProtectionEnabled: true } : {}),
  },
});

const ofSubscription = (estate: Estate, subscriptionId: string): DeletedVault[] =>
  estate.deletedVaults
    .values()
    .filter(({ resource }) => keyOf(resource.id).startsWith(`/subscriptions/${subscriptionId.toLowerCase()}/`));

export const listDeletedVaults = (
  estate: Estate,
  subscriptionId: string,
  call: { endpoint: string; path: string; query: URLSearchParams },
): SimulatedResponse =>
  page(
    call,
    ofSubscription(estate, subscriptionId).map((deleted) => deletedBody(subscriptionId, deleted)),
  );

interface DeletedVaultCall {
  endpoint: string;
  apiVersion: string;
  subscriptionId: string;
  location: string;
  name: string;
}

export function getDeletedVault(estate: Estate, { subscriptionId, location, name }: DeletedVaultCall): SimulatedResponse {
  return { status: 200, body: deletedBody(subscriptionId, requireDeleted(estate, { subscriptionId, location, name })) };
}

export function purgeVault(estate: Estate, call: DeletedVaultCall): SimulatedResponse {
  const { resource } = requireDeleted(estate, call);
  if (resource.body.properties["enablePurgeProtection"] === true)
    throw new ArmError(409, "MethodNotAllowed", `Operation "purge" is not enabled for this vault.`);
  const operation = estate.operations.begin(
    {
      kind: "purgeVault",
      name: "PurgeDeletedVault",
      subscriptionId: call.subscriptionId,
      namespace: "Microsoft.KeyVault",
      location: resource.location,
      target: resource.id,
      facts: { name: resource.name },
    },
    estate.duration(3),
  );
  const location = `${call.endpoint}/subscriptions/${call.subscriptionId}/providers/Microsoft.KeyVault/locations/${resource.location}/operationResults/${operation.id}?api-version=${call.apiVersion}`;
  return { status: 202, headers: { location, "retry-after": "1" }, effect: "write" };
}

function requireDeleted(
  estate: Estate,
  { subscriptionId, location, name }: Pick<DeletedVaultCall, "subscriptionId" | "location" | "name">,
): DeletedVault {
  const deleted = estate.deletedVaults.get(name.toLowerCase());
  if (
    deleted === undefined ||
    deleted.resource.location !== location.toLowerCase() ||
    !ofSubscription(estate, subscriptionId).some(({ resource }) => sameId(resource.id, deleted.resource.id))
  )
    throw new ArmError(404, "DeletedVaultNotFound", `The specified deleted vault '${name}' does not exist.`);
  return deleted;
}
