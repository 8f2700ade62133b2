/** Proves that our application may do in a subscription what building a gateway takes, by listing what it may do there. */
import * as z from "zod";
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

/** The built-in role that a person is asked to grant, and the actions by which it, or any other role that does, is recognised. */
const needed: { role: string; actions: string[] }[] = [
  {
    role: "Contributor",
    actions: [
      "Microsoft.Resources/subscriptions/resourceGroups/write",
      "Microsoft.Compute/virtualMachines/write",
      "Microsoft.Compute/virtualMachines/runCommands/write",
      "Microsoft.KeyVault/vaults/write",
      "Microsoft.ManagedIdentity/userAssignedIdentities/write",
      "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
      "Microsoft.Network/networkInterfaces/write",
      "Microsoft.Network/publicIPAddresses/write",
    ],
  },
  {
    role: "Role Based Access Control Administrator",
    actions: ["Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/delete"],
  },
];

const subscriptionSchema = z.object({ state: z.string() });

/** One entry for each role that counts; an entry's exceptions are only its own. */
const permissionsSchema = z.object({
  value: z.array(z.object({ actions: z.array(z.string()).default([]), notActions: z.array(z.string()).default([]) })),
});
type Permission = z.output<typeof permissionsSchema>["value"][number];

/**
 * Pure reads. A role that was granted a minute ago may not count yet: ask again rather than believe `missing` for good. Source:
 * Microsoft.Authorization's permissions are what the caller may do, groups, custom and inherited roles included.
 */
export const createAzureAccess =
  ({ azure, credentials }: { azure: Azure; credentials: Credentials }) =>
  async ({ entraTenantId, subscriptionId }: Subscription): Promise<AzureAccess> => {
    const none = { granted: false, missing: needed.map(({ role }) => role), subscriptionState: undefined };
    const principal = await principalIn(azure, credentials, entraTenantId);
    if ("reason" in principal) return { ...none, missing: ["service principal"], principalId: undefined, ...principal };
    const subscription = await azure.get(entraTenantId, `/subscriptions/${subscriptionId}?api-version=2022-12-01`);
    if (subscription.state !== "present") return { ...none, ...principal, ...reasonOf(subscription) };
    const subscriptionState = subscriptionSchema.safeParse(subscription.actual).data?.state;

    const path = `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01`;
    const permissions = await azure.get(entraTenantId, path);
    if (permissions.state !== "present") return { ...none, ...principal, subscriptionState, ...reasonOf(permissions) };
    const held = permissionsSchema.safeParse(permissions.actual).data?.value ?? [];
    const missing = needed.filter(
      ({ actions }) => !actions.every((action) => held.some((permission) => allows(permission, action))),
    );
    return {
      granted: missing.length === 0 && subscriptionState === "Enabled",
      missing: missing.map(({ role }) => role),
      ...principal,
      subscriptionState,
    };
  };

const reasonOf = (observed: Observed<unknown>): Pick<AzureAccess, "reason"> =>
  observed.state === "unknown"
    ? { reason: observed.reason }
    : { reason: { code: "SubscriptionNotFound", message: "the subscription is not there" } };

/** The token is ours and fresh from Entra: it is read, not judged. */
async function principalIn(
  azure: Azure,
  credentials: Credentials,
  entraTenantId: string,
): Promise<{ principalId: string } | { reason: { code: string; message: string } }> {
  try {
    const token = await credentials.inTenant(entraTenantId).getToken(`${azure.environment.resourceManager.audience}/.default`);
    const claims: unknown = JSON.parse(Buffer.from(token?.token.split(".")[1] ?? "", "base64url").toString("utf8"));
    return { principalId: z.object({ oid: z.string() }).parse(claims).oid };
  } catch (cause) {
    const { code, message } = armFailureOf(cause);
    return { reason: { code, message } };
  }
}

/** `Microsoft.Network/*` covers what begins so; case doesn't count. */
export const allows = ({ actions, notActions }: Permission, action: string): boolean =>
  actions.some((pattern) => covers(pattern, action)) && !notActions.some((pattern) => covers(pattern, action));

function covers(pattern: string, action: string): boolean {
  const literal = (part: string): string => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${pattern.split("*").map(literal).join(".*")}$`, "i").test(action);
}
