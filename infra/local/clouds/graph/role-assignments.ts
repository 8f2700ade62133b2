/**
 * `/roleManagement/directory/roleAssignments`: Entra roles of the whole tenant (Graph v1.0).
 *
 * Sources: "List unifiedRoleAssignments", "Create unifiedRoleAssignment", "Delete unifiedRoleAssignment": reading takes
 * RoleManagement.Read.Directory or more, writing RoleManagement.ReadWrite.Directory and nothing less.
 */
import { droppedKey, roleKey } from "../entra/consent.ts";
import type { DirectoryRoleAssignment } from "../entra/directory.ts";
import { exchangeAdministrator } from "../entra/first-party.ts";
import { badRequest, resourceNotFound } from "./answers.ts";
import { filtered, paged, selected } from "./query.ts";
import { bodyOf, optionalText, type Route } from "./route.ts";

const write = ["RoleManagement.ReadWrite.Directory"];
const read = [...write, "RoleManagement.Read.Directory", "RoleManagement.Read.All"];
const PAGE_SIZE = 100;
/** How many looks of Exchange Online miss a change of the role, times the platform's lag. */
const LOOKS = 2;

const shown = ({ id, principalId, roleDefinitionId, directoryScopeId }: DirectoryRoleAssignment): Record<string, unknown> => ({
  id,
  principalId,
  roleDefinitionId,
  directoryScopeId,
});

export const roleAssignmentRoutes: Route[] = [
  {
    method: "GET",
    pattern: /^\/roleManagement\/directory\/roleAssignments$/,
    permissions: read,
    run: ({ directory, tenantId, request: { url }, context }) => {
      // Without it Graph asks for one of both: a tenant's assignments are not listed whole.
      if (!/principalId|roleDefinitionId/.test(url.searchParams.get("$filter") ?? ""))
        throw badRequest("The query must be filtered by principalId or roleDefinitionId.");
      const { page, nextLink } = paged(filtered(directory.directoryRoleAssignments(tenantId).map(shown), url), url, PAGE_SIZE);
      return {
        status: 200,
        body: {
          "@odata.context": context("roleManagement/directory/roleAssignments"),
          ...(nextLink === undefined ? {} : { "@odata.nextLink": nextLink }),
          value: page.map((one) => selected(one, url)),
        },
      };
    },
  },
  {
    method: "POST",
    pattern: /^\/roleManagement\/directory\/roleAssignments$/,
    permissions: write,
    run: (graph) => {
      const { directory, tenantId, settling } = graph;
      const body = bodyOf(graph);
      const principalId = optionalText(body["principalId"]) ?? "";
      const roleDefinitionId = optionalText(body["roleDefinitionId"]) ?? "";
      if (optionalText(body["directoryScopeId"]) !== "/") throw badRequest("The directoryScopeId is invalid.");
      if (!directory.servicePrincipal(tenantId, { id: principalId })) throw resourceNotFound(principalId);
      if (directory.holdsDirectoryRole(tenantId, principalId, roleDefinitionId))
        throw badRequest("A conflicting object with one or more of the specified property values is present in the directory.");
      const made = directory.ensureDirectoryRole(tenantId, principalId, roleDefinitionId);
      if (roleDefinitionId === exchangeAdministrator) settling.begin(roleKey(tenantId, principalId), { looks: LOOKS });
      return { status: 201, effect: "write", body: shown(made) };
    },
  },
  {
    method: "DELETE",
    pattern: /^\/roleManagement\/directory\/roleAssignments\/([^/]+)$/,
    permissions: write,
    run: ({ directory, tenantId, settling, parts: [id = ""] }) => {
      const found = directory.directoryRoleAssignments(tenantId).find((one) => one.id === id);
      if (!found) throw resourceNotFound(id);
      directory.deleteDirectoryRole(tenantId, id);
      if (found.roleDefinitionId === exchangeAdministrator)
        settling.begin(droppedKey(tenantId, found.principalId), { looks: LOOKS });
      return { status: 204, effect: "write" };
    },
  },
];
