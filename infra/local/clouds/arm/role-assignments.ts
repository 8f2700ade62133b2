/** Microsoft.Authorization: role assignments at any scope, role definitions, and what the caller may do there. */
import * as z from "zod";
import type { Claims, SimulatedResponse } from "../simulator.ts";
import type { Access } from "./access.ts";
import { ArmError, page, parseBody, type Json } from "./envelope.ts";
import { keyOf, sameId, type Estate, type RoleAssignment } from "./estate.ts";
import { roleById, roles, type RoleDefinition } from "./roles.ts";

const roleAssignmentSchema = z.looseObject({
  properties: z.looseObject({
    roleDefinitionId: z.string(),
    principalId: z.uuid(),
    principalType: z.enum(["User", "Group", "ServicePrincipal", "ForeignGroup", "Device"]).optional(),
    condition: z.string().optional(),
    conditionVersion: z.string().optional(),
    description: z.string().optional(),
  }),
});

/** A principal that was just made is not known everywhere yet; with its type given, Azure does not look. */
const REPLICATION_IN_SECONDS = 5;

interface ScopedCall {
  endpoint: string;
  path: string;
  query: URLSearchParams;
  claims: Claims;
  body: unknown;
  scope: string;
}

const shown = (assignment: RoleAssignment): Json => {
  const {
    id,
    name,
    scope,
    principalId,
    principalType,
    roleDefinitionId,
    condition,
    conditionVersion,
    description,
    createdAt,
    createdBy,
  } = assignment;
  const at = new Date(createdAt).toISOString();
  return {
    properties: {
      roleDefinitionId,
      principalId,
      principalType,
      scope,
      condition: condition ?? null,
      conditionVersion: conditionVersion ?? null,
      description: description ?? null,
      createdOn: at,
      updatedOn: at,
      createdBy,
      updatedBy: createdBy,
      delegatedManagedIdentityResourceId: null,
    },
    id,
    type: "Microsoft.Authorization/roleAssignments",
    name,
  };
};

export function putRoleAssignment(estate: Estate, name: string, call: ScopedCall): SimulatedResponse {
  const { properties } = parseBody(roleAssignmentSchema, call.body);
  const { principalId, roleDefinitionId, condition, conditionVersion, description } = properties;
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(name))
    throw new ArmError(
      400,
      "InvalidRoleAssignmentId",
      `The role assignment ID '${name}' is not valid. The role assignment ID must be a GUID.`,
    );
  const definition = roleById(roleDefinitionId.split("/").at(-1) ?? "");
  if (definition === undefined || !/\/providers\/Microsoft\.Authorization\/roleDefinitions\/[^/]+$/i.test(roleDefinitionId))
    throw new ArmError(
      400,
      "RoleDefinitionDoesNotExist",
      `The specified role definition with ID '${roleDefinitionId.split("/").at(-1)?.replaceAll("-", "")}' does not exist.`,
    );
  const principalType = principalTypeOf(estate, call.scope, properties);
  const id = `${call.scope}/providers/Microsoft.Authorization/roleAssignments/${name}`;
  const existing = estate.roleAssignments.get(keyOf(id));
  const wanted = { principalId, roleDefinitionId: definitionIdAt(call.scope, definition) };
  if (
    existing !== undefined &&
    (!sameId(existing.principalId, principalId) || !sameId(existing.roleDefinitionId, wanted.roleDefinitionId))
  )
    throw new ArmError(
      400,
      "RoleAssignmentUpdateNotPermitted",
      "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
    );
  const other = estate.roleAssignments
    .values()
    .find(
      (candidate) =>
        !sameId(candidate.id, id) &&
        sameId(candidate.scope, call.scope) &&
        sameId(candidate.principalId, principalId) &&
        sameId(candidate.roleDefinitionId, wanted.roleDefinitionId),
    );
  if (other !== undefined)
    throw new ArmError(
      409,
      "RoleAssignmentExists",
      `The role assignment already exists. The ID of the existing role assignment is ${other.name.replaceAll("-", "")}.`,
    );
  const assignment: RoleAssignment = {
    ...wanted,
    id,
    name,
    scope: call.scope,
    principalType,
    ...(condition === undefined ? {} : { condition }),
    ...(conditionVersion === undefined ? {} : { conditionVersion }),
    ...(description === undefined ? {} : { description }),
    createdAt: existing?.createdAt ?? estate.platform.now(),
    createdBy: existing?.createdBy ?? call.claims.oid,
  };
  const same = existing !== undefined && JSON.stringify(shown(existing)) === JSON.stringify(shown(assignment));
  if (!same) estate.roleAssignments.set(keyOf(id), assignment);
  return { status: existing === undefined ? 201 : 200, body: shown(assignment), effect: same ? "none" : "write" };
}

/** Who the principal is, if the simulator knows it; otherwise Azure believes the caller when the type is given. */
function principalTypeOf(
  estate: Estate,
  scope: string,
  { principalId, principalType }: { principalId: string; principalType?: string | undefined },
): string {
  const tenantId = estate.subscription(scope.split("/")[2] ?? "")?.tenantId ?? "";
  const identity = estate
    .ofType("Microsoft.ManagedIdentity/userAssignedIdentities")
    .find(({ body }) => sameId(body.properties["principalId"], principalId));
  const { peers, identity: ourselves } = estate.platform;
  const ours = peers.servicePrincipal?.(tenantId, ourselves.applicationId)?.objectId;
  const knownOurs = sameId(ours, principalId) || sameId(ourselves.managedIdentity.principalId, principalId);
  const replicated =
    identity !== undefined && identity.createdAt + estate.duration(REPLICATION_IN_SECONDS) <= estate.platform.now();
  if (principalType === undefined && !knownOurs && !replicated)
    throw new ArmError(
      400,
      "PrincipalNotFound",
      `Principal ${principalId.replaceAll("-", "")} does not exist in the directory ${tenantId}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype`,
    );
  if (principalType !== undefined && principalType !== "ServicePrincipal" && (knownOurs || replicated))
    throw new ArmError(
      400,
      "UnmatchedPrincipalType",
      `The PrincipalId '${principalId.replaceAll("-", "")}' has type 'ServicePrincipal' , which is different from specified PrinciaplType '${principalType}'.`,
    );
  return principalType ?? "ServicePrincipal";
}

export function getRoleAssignment(estate: Estate, name: string, { scope }: ScopedCall): SimulatedResponse {
  return { status: 200, body: shown(requireAssignment(estate, name, scope)) };
}

function requireAssignment(estate: Estate, name: string, scope: string): RoleAssignment {
  const assignment = estate.roleAssignments.get(keyOf(`${scope}/providers/Microsoft.Authorization/roleAssignments/${name}`));
  if (assignment === undefined)
    throw new ArmError(404, "RoleAssignmentNotFound", `The role assignment '${name.replaceAll("-", "")}' is not found.`);
  return assignment;
}

export function deleteRoleAssignment(estate: Estate, name: string, call: ScopedCall): SimulatedResponse {
  const id = `${call.scope}/providers/Microsoft.Authorization/roleAssignments/${name}`;
  const assignment = estate.roleAssignments.get(keyOf(id));
  if (assignment === undefined) return { status: 204 };
  estate.roleAssignments.delete(keyOf(id));
  return { status: 200, body: shown(assignment), effect: "write" };
}

/** Without a filter: at, above and below the scope; `atScope()` leaves out what is below; `principalId eq` narrows further. */
export function listRoleAssignments(estate: Estate, call: ScopedCall): SimulatedResponse {
  const filter = call.query.get("$filter") ?? "";
  const principal = /(?:principalId eq|assignedTo\()\s*'([^']+)'/i.exec(filter)?.[1];
  const rest = filter.replace(/(principalId eq\s*'[^']+'|assignedTo\('[^']+'\)|atScope\(\)|\s+and\s+)/gi, "");
  if (rest.trim() !== "")
    throw new ArmError(
      400,
      "UnsupportedQuery",
      `The filter '${filter}' is not supported. Supported filters are either 'atScope()' or 'principalId eq '{value}' or assignedTo('{value}')'.`,
    );
  const scope = `${keyOf(call.scope)}/`;
  const found = estate.roleAssignments.values().filter((assignment) => {
    const held = `${keyOf(assignment.scope)}/`;
    const inScope = scope.startsWith(held) || (!/atScope\(\)/i.test(filter) && held.startsWith(scope));
    return inScope && (principal === undefined || sameId(assignment.principalId, principal));
  });
  return page(call, found.map(shown));
}

const definitionIdAt = (scope: string, { id }: RoleDefinition): string => {
  const subscription = /^\/subscriptions\/[^/]+/i.exec(scope)?.[0] ?? "";
  return `${subscription}/providers/Microsoft.Authorization/roleDefinitions/${id}`;
};

const shownDefinition = (scope: string, definition: RoleDefinition): Json => ({
  properties: {
    roleName: definition.roleName,
    type: "BuiltInRole",
    description: definition.description,
    assignableScopes: ["/"],
    permissions: [permissionsOf(definition)],
  },
  id: definitionIdAt(scope, definition),
  type: "Microsoft.Authorization/roleDefinitions",
  name: definition.id,
});

const permissionsOf = ({ actions, notActions, dataActions }: RoleDefinition): Json => ({
  actions,
  notActions,
  dataActions,
  notDataActions: [],
});

export function listRoleDefinitions(call: ScopedCall): SimulatedResponse {
  const filter = call.query.get("$filter");
  const match = filter === null ? undefined : /^roleName eq '([^']+)'$/i.exec(filter);
  if (match === null && !/^(atScopeAndBelow\(\)|type eq 'BuiltInRole')$/i.test(filter ?? ""))
    throw new ArmError(400, "UnsupportedQuery", `The filter '${filter}' is not supported.`);
  const found = Object.values(roles).filter(({ roleName }) => match === undefined || match === null || roleName === match[1]);
  return page(
    call,
    found.map((definition) => shownDefinition(call.scope, definition)),
  );
}

export function getRoleDefinition(id: string, { scope }: ScopedCall): SimulatedResponse {
  const definition = roleById(id);
  if (definition === undefined)
    throw new ArmError(
      404,
      "RoleDefinitionDoesNotExist",
      `The specified role definition with ID '${id.replaceAll("-", "")}' does not exist.`,
    );
  return { status: 200, body: shownDefinition(scope, definition) };
}

/** What the caller may do at a scope: one entry for each role that counts there. */
export const listPermissions = (access: Access, call: ScopedCall): SimulatedResponse =>
  page(call, access.rolesOf(call.claims.oid, call.scope).map(permissionsOf));
