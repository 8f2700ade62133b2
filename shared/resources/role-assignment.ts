/** Missions B5, B6: who may read or write a tenant's vault. Named by what it grants, so a second run finds the first one's. */
import { createHash } from "node:crypto";
import type { RoleAssignment as FoundAssignment } from "@azure/arm-authorization";
import type { Azure, AzureClients } from "../azure/client.ts";
import { changesBetween, removeOwned } from "../azure/owned.ts";
import { sameId, type Subscription } from "../azure/place.ts";
import { ControlPlaneError } from "../errors.ts";
import { done, type Observed, type Owner, present, type Resource, unknown } from "./resource.ts";

export interface RoleAssignment extends Subscription {
  owner: Owner;
  /** Id of the resource that it opens. */
  scope: string;
  /** Object id of a service principal or managed identity. */
  principalId: string;
  role: keyof typeof roleDefinitions;
}

export interface ActualRoleAssignment {
  id: string;
  scope: string;
  principalId: string;
  /** The role's name, or its definition's id when it is none that we assign. */
  role: string;
}

/** Source: Microsoft's "Azure built-in roles"; the ids are the same in every subscription. */
export const roleDefinitions = {
  "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
  "Key Vault Certificates Officer": "a4417e6f-fecd-4de8-b567-7b0420556985",
  "Key Vault Reader": "21090545-7ca7-4776-b22c-e363652d74d2",
  "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
} as const;

export const roleAssignment = ({ azure }: { azure: Azure }): Resource<RoleAssignment, ActualRoleAssignment> => {
  const what = ({ role, principalId }: RoleAssignment): string => `role ${role} for ${principalId}`;

  /** By our own name first; else the same grant under another name, since Azure admits it only once. */
  const observe = async (desired: RoleAssignment): Promise<Observed<ActualRoleAssignment>> => {
    const named = await azure.read(desired, async (clients) =>
      (await clients.authorization()).roleAssignments.get(pathOf(desired), assignmentName(desired)),
    );
    if (named.state === "present") {
      const actual = actualOf(named.actual);
      return grants(desired, actual)
        ? present(actual)
        : unknown("ForeignObject", `the name of ${what(desired)} is held by another role assignment`);
    }
    if (named.state === "unknown") return named;
    const listed = await azure.read(desired, (clients) => sameGrant(clients, desired));
    if (listed.state !== "present") return listed;
    return listed.actual === undefined ? { state: "absent" } : present(actualOf(listed.actual));
  };

  return {
    kind: "roleAssignment",
    observe,
    diff: ({ scope, principalId, role }, actual) =>
      changesBetween<ActualRoleAssignment>(
        { id: actual.id, scope: scope.toLowerCase(), principalId: principalId.toLowerCase(), role },
        actual,
      ),
    create: (desired) =>
      azure.begin(`assigning ${what(desired)}`, desired, async (clients, onResponse) =>
        (await clients.authorization()).roleAssignments.create(
          pathOf(desired),
          assignmentName(desired),
          {
            roleDefinitionId: `/subscriptions/${desired.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${roleDefinitions[desired.role]}`,
            principalId: desired.principalId,
            // Without it Azure looks a new principal up in a replica that may not know it yet.
            principalType: "ServicePrincipal",
            description: `managed by Gatehouse; partner=${desired.owner.partnerId}; tenant=${desired.owner.tenantId}`,
          },
          { onResponse },
        ),
      ),
    async update(desired) {
      throw new ControlPlaneError("ForeignObject", `the name of ${what(desired)} is held by another role assignment`, 409);
    },
    async remove(desired) {
      const observed = await observe(desired);
      // The same grant under another name was not given by us.
      if (observed.state === "present" && !observed.actual.id.toLowerCase().endsWith(assignmentName(desired))) return done;
      return removeOwned(azure, what(desired), desired, observed, async (clients, onResponse) =>
        (await clients.authorization()).roleAssignments.delete(pathOf(desired), assignmentName(desired), { onResponse }),
      );
    },
  };
};

/** The SDK writes a slash before the scope, as if a resource's id had none. */
const pathOf = ({ scope }: Pick<RoleAssignment, "scope">): string => scope.replace(/^\//, "");

const grants = ({ scope, principalId, role }: RoleAssignment, actual: ActualRoleAssignment): boolean =>
  sameId(scope, actual.scope) && sameId(principalId, actual.principalId) && role === actual.role;

/** A GUID derived from scope, principal and role: the same grant has the same name. */
export function assignmentName({ scope, principalId, role }: Pick<RoleAssignment, "scope" | "principalId" | "role">): string {
  const hex = createHash("sha256")
    .update(`${scope.toLowerCase()}\n${principalId.toLowerCase()}\n${roleDefinitions[role]}`)
    .digest("hex");
  // RFC 9562: version 8 is for such custom derivations
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

async function sameGrant(
  clients: AzureClients,
  { scope, principalId, role }: RoleAssignment,
): Promise<FoundAssignment | undefined> {
  const { roleAssignments } = await clients.authorization();
  for await (const found of roleAssignments.listForScope(pathOf({ scope }), { filter: `principalId eq '${principalId}'` }))
    if (sameId(found.scope, scope) && found.roleDefinitionId?.toLowerCase().endsWith(roleDefinitions[role])) return found;
  return undefined;
}

const actualOf = ({ id, scope, principalId, roleDefinitionId }: FoundAssignment): ActualRoleAssignment => ({
  id: id ?? "",
  scope: (scope ?? "").toLowerCase(),
  principalId: (principalId ?? "").toLowerCase(),
  role:
    Object.entries(roleDefinitions).find(([, definition]) => roleDefinitionId?.toLowerCase().endsWith(definition))?.[0] ??
    roleDefinitionId ??
    "",
});
