/** One request to a simulated vault, and what answers to all its collections have in common. */
import type { Claims, SimulatedRequest, SimulatedResponse } from "../simulator.ts";
import { refused } from "./errors.ts";

/** A vault, and who may do what in it. */
export interface Vault {
  name: string;
  id: string;
  tenantId: string;
  /** Nothing that was deleted can be purged before its time. */
  purgeProtection?: boolean;
  holds(principalId: string, role: string): boolean;
}

export interface Call {
  vault: Vault;
  request: SimulatedRequest;
  claims: Claims;
  /** The environment's audience of vault tokens, such as `https://vault.azure.net`: its host is the suffix of all vaults' hosts. */
  audience: string;
}

const defaultPageSize = 25;

/**
 * Ids name the vault's own host, as in the cloud, not the address that was dialled: @azure/keyvault-secrets refuses an id with anything
 * before `/secrets`. Links to follow (`nextLink`) name the address that was dialled.
 */
export const idBase = ({ vault, audience }: Call): string => `https://${vault.name}.${new URL(audience).hostname}`;

/** `nextLink` leads to the next page; `$skiptoken` is the number of items that went before. */
export function page({ request }: Call, items: unknown[]): SimulatedResponse {
  const { url } = request;
  const size = Number(url.searchParams.get("maxresults") ?? defaultPageSize);
  const skip = Number(url.searchParams.get("$skiptoken") ?? 0);
  if (!Number.isInteger(size) || size < 1 || size > 25 || !Number.isInteger(skip))
    return refused(400, "BadParameter", "maxresults must be between 1 and 25.");
  const next = new URL(url);
  next.searchParams.set("$skiptoken", String(skip + size));
  return {
    status: 200,
    body: { value: items.slice(skip, skip + size), nextLink: skip + size < items.length ? next.href : null },
  };
}
