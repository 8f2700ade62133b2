/** Mission D6: what our application's own rights in Exchange Online consist of. */
import { cmdletsFrom, type ManagementRoleName, managementRoles, ownRoleName } from "../exchange/management-roles.ts";
import { type Desired, home, organization } from "./state.ts";
import type { Target } from "./target.ts";

export { managementRoles, type ManagementRoleName };

export const exchangePrincipal = (target: Target): Desired<"exchangePrincipal"> => ({ organization: organization(target) });

export const managementRole = (target: Target, parent: ManagementRoleName): Desired<"managementRole"> => ({
  owner: home(target).owner,
  organization: organization(target),
  parent,
  cmdlets: cmdletsFrom(parent),
});

export const roleGroup = (target: Target): Desired<"roleGroup"> => ({
  owner: home(target).owner,
  organization: organization(target),
  roles: managementRoles.map(ownRoleName),
});

/** Of the step that makes a role. */
export const roleStep = (parent: ManagementRoleName): string => `managementRole${parent.replaceAll(/[^A-Za-z]/g, "")}`;
