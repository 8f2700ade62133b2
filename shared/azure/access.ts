/** Proves that our application may do in a subscription what building a gateway takes, by listing what it was granted. */
import type { Credentials } from "../entra/credentials.ts";
import type { Observed } from "../resources/resource.ts";
import type { Azure } from "./client.ts";
import { armFailureOf } from "./errors.ts";
import type { Subscription } from "./place.ts";

export interface AzureAccess {
  granted: boolean;
  /** What a person has to grant, in Azure's words: role names, or `service principal`. Empty when granted. */
  missing: string[];
  /** Object id of our service principal in that Entra tenant, from the token; undefined while there is none. */
  principalId: string | undefined;
  /** `Enabled`, `Disabled`, `PastDue`, `Warned`, `Deleted`; undefined while it can't be read. */
  subscriptionState: string | undefined;
  /** Azure's own reason when something could not be read. */
  reason?: { code: string; message: string };
}

/** Two abilities, each given by any of its built-in roles. Source of ids: Microsoft's "Azure built-in roles". */
const abilities: { missing: string; actions: string[]; roles: Record<string, string> }[] = [
  {
    missing: "Contributor",
    actions: [
      "Microsoft.Compute/virtualMachines/write",
      "Microsoft.Network/networkInterfaces/write",
      "Microsoft.KeyVault/vaults/write",
    ],
    roles: { "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner" },
  },
  {
    missing: "Role Based Access Control Administrator",
    actions: ["Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"],
    roles: {
      "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
      "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
      "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    },
  },
];

export const createAzureAccess =
  ({ azure, credentials }: { azure: Azure; credentials: Credentials }) =>
  /** Pure reads. A role granted a minute ago may not show yet: ask again rather than believe `missing` for good. */
  async (subscription: Subscription): Promise<AzureAccess> => {
    const principalId = await principalOf(azure, credentials, subscription.entraTenantId);
    if (typeof principalId === "object") return { ...nothing, missing: ["service principal"], reason: principalId };
    const state = await azure.get(
      subscription.entraTenantId,
      `/subscriptions/${subscription.subscriptionId}?api-version=2022-12-01`,
    );
    if (state.state !== "present")
      return { ...nothing, principalId, missing: abilities.map(({ missing }) => missing), ...reasonOf(state) };
    const subscriptionState = (state.actual as { state?: string }).state;

    const assigned = await azure.read(subscription, async (clients) => {
      const { roleAssignments } = await clients.authorization();
      const roles: string[] = [];
      for await (const { scope, roleDefinitionId } of roleAssignments.listForSubscription({
        filter: `assignedTo('${principalId}')`,
      }))
        if (roleDefinitionId !== undefined && isAtOrAbove(scope, subscription.subscriptionId)) roles.push(roleDefinitionId);
      return roles;
    });
    if (assigned.state !== "present")
      return {
        ...nothing,
        principalId,
        subscriptionState,
        missing: abilities.map(({ missing }) => missing),
        ...reasonOf(assigned),
      };

    const missing: string[] = [];
    for (const ability of abilities)
      if (!(await gives(azure, subscription, assigned.actual, ability))) missing.push(ability.missing);
    return { granted: missing.length === 0 && subscriptionState === "Enabled", missing, principalId, subscriptionState };
  };

const nothing = { granted: false, principalId: undefined, subscriptionState: undefined } as const;

const reasonOf = (observed: Observed<unknown>): Pick<AzureAccess, "reason"> =>
  observed.state === "unknown"
    ? { reason: observed.reason }
    : { reason: { code: "SubscriptionNotFound", message: "the subscription is not there" } };

/** The token is ours and fresh from Entra: it is read, not believed. */
async function principalOf(
  azure: Azure,
  credentials: Credentials,
  entraTenantId: string,
): Promise<string | { code: string; message: string }> {
  try {
    const token = await credentials.inTenant(entraTenantId).getToken(`${azure.environment.resourceManager.audience}/.default`);
    const claims: unknown = JSON.parse(Buffer.from(token?.token.split(".")[1] ?? "", "base64url").toString("utf8"));
    const oid = (claims as { oid?: unknown }).oid;
    return typeof oid === "string" ? oid : { code: "TokenUnreadable", message: "the token names no object id" };
  } catch (cause) {
    const { code, message } = armFailureOf(cause);
    return { code, message };
  }
}

/** An assignment on a resource group gives nothing on the subscription. */
const isAtOrAbove = (scope: string | undefined, subscriptionId: string): boolean =>
  scope === "/" ||
  scope?.toLowerCase() === `/subscriptions/${subscriptionId.toLowerCase()}` ||
  /^\/providers\/microsoft\.management\//i.test(scope ?? "");

async function gives(
  azure: Azure,
  subscription: Subscription,
  roleDefinitionIds: string[],
  { roles, actions }: (typeof abilities)[number],
): Promise<boolean> {
  const idOf = (roleDefinitionId: string): string => roleDefinitionId.slice(roleDefinitionId.lastIndexOf("/") + 1).toLowerCase();
  if (roleDefinitionIds.some((id) => idOf(id) in roles)) return true;
  const known = abilities.flatMap((ability) => Object.keys(ability.roles));
  for (const roleDefinitionId of roleDefinitionIds.filter((id) => !known.includes(idOf(id)))) {
    const definition = await azure.read(subscription, async (clients) =>
      (await clients.authorization()).roleDefinitions.getById(roleDefinitionId),
    );
    if (definition.state !== "present") continue;
    const { permissions = [] } = definition.actual;
    const allows = (action: string): boolean =>
      permissions.some(
        ({ actions = [], notActions = [] }) =>
          actions.some((pattern) => covers(pattern, action)) && !notActions.some((pattern) => covers(pattern, action)),
      );
    if (actions.every(allows)) return true;
  }
  return false;
}

const covers = (pattern: string, action: string): boolean =>
  new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
      .join(".*")}$`,
    "i",
  ).test(action);
