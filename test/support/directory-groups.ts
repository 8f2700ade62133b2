/** What a customer's administrator does with groups in the simulated directory, beside us: makes them, and lets our application read them. */
import { randomUUID } from "node:crypto";
import { createDirectory } from "../../infra/local/clouds/entra/directory.ts";
import { microsoftGraph } from "../../infra/local/clouds/entra/first-party.ts";
import { type DirectoryGroup, directoryGroups } from "../../infra/local/clouds/graph/groups.ts";
import type { TestClouds } from "./clouds.ts";

export function makeGroup(
  { platform }: TestClouds,
  tenantId: string,
  displayName: string,
  ...types: DirectoryGroup["members"][number]["type"][]
): void {
  const id = randomUUID();
  const members = types.map((type) => ({ id: randomUUID(), type }));
  directoryGroups(platform).set(`${tenantId}/${id}`, { tenantId, id, displayName, members });
}

/** The application role `GroupMember.Read.All`, granted to our service principal. */
export function letRead({ platform, application }: TestClouds, tenantId: string): void {
  const directory = createDirectory(platform);
  const principal = directory.ensureServicePrincipal(tenantId, application.applicationId);
  const graph = directory.servicePrincipal(tenantId, { appId: microsoftGraph });
  const role = directory.describe(microsoftGraph)?.appRoles.find(({ value }) => value === "GroupMember.Read.All");
  if (!principal || !graph || !role) throw new Error(`Graph has no such role in ${tenantId}`);
  directory.ensureAppRoleAssignment(tenantId, { principalId: principal.id, resourceId: graph.id, appRoleId: role.id });
}
