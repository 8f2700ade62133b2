/** Permissions that an administrator grants beyond what every customer is asked for. */
import { createDirectory } from "../../infra/local/clouds/entra/directory.ts";
import { microsoftGraph } from "../../infra/local/clouds/entra/first-party.ts";
import type { TestClouds } from "./clouds.ts";

export function permitDirectory({ platform }: TestClouds, organization: string): void {
  const directory = createDirectory(platform);
  const principal = (appId: string) => directory.ensureServicePrincipal(organization, appId);
  const [ours, resource] = [principal(platform.identity.applicationId), principal(microsoftGraph)];
  if (!ours || !resource) throw new Error("nobody has consented");
  for (const role of ["User.Read.All", "GroupMember.Read.All"]) {
    const appRoleId = directory.offers(organization, resource).appRoles.find(({ value }) => value === role)?.id ?? "";
    directory.ensureAppRoleAssignment(organization, { principalId: ours.id, resourceId: resource.id, appRoleId });
  }
}
