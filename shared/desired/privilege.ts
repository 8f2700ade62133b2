/** Mission D6: what our application's own rights in Exchange Online consist of. */
import { cmdletsFrom, type ManagementRoleName, managementRoles, ownRoleName } from "../exchange/management-roles.ts";
import type { Desired } from "./state.ts";
import type { Target } from "./target.ts";

export { managementRoles, type ManagementRoleName };

type Customer = Pick<Target, "work" | "spec">;

const inOrganization = ({ work: { partnerId, tenantId }, spec }: Customer) => ({
  owner: { partnerId, tenantId },
  organization: spec.microsoft365.tenantId,
});

export const exchangePrincipal = ({ spec }: Customer): Desired<"exchangePrincipal"> => ({
  organization: spec.microsoft365.tenantId,
});

export const managementRole = (customer: Customer, parent: ManagementRoleName): Desired<"managementRole"> => ({
  ...inOrganization(customer),
  parent,
  cmdlets: cmdletsFrom(parent),
});

export const roleGroup = (customer: Customer): Desired<"roleGroup"> => ({
  ...inOrganization(customer),
  roles: managementRoles.map(ownRoleName),
});

/** Of the step that makes a role. */
export const roleStep = (parent: ManagementRoleName): string => `managementRole${parent.replaceAll(/[^A-Za-z]/g, "")}`;
