/**
 * Which built-in management role has each cmdlet that we use: a role of our own copies only these from it, so that what our application
 * may run is what it runs, and nothing else. A cmdlet that isn't here doesn't compile.
 *
 * Sources: the roles that Microsoft365DSC's resources name (`settings.json` of each), "Permissions in Exchange Online"; an organisation
 * itself tells by `Get-ManagementRole -Cmdlet`.
 */
import type { Cmdlet } from "./cmdlets.ts";

export const managementRoles = [
  "Remote and Accepted Domains",
  "Transport Rules",
  "Transport Hygiene",
  "View-Only Configuration",
  "View-Only Recipients",
  "Role Management",
] as const;
export type ManagementRoleName = (typeof managementRoles)[number];

/** `bootstrap`: run with the Entra role Exchange Administrator only, which goes once ours works. */
const roleOf: Record<Cmdlet, ManagementRoleName | "bootstrap"> = {
  "Get-InboundConnector": "Remote and Accepted Domains",
  "New-InboundConnector": "Remote and Accepted Domains",
  "Set-InboundConnector": "Remote and Accepted Domains",
  "Remove-InboundConnector": "Remote and Accepted Domains",
  "Get-OutboundConnector": "Remote and Accepted Domains",
  "New-OutboundConnector": "Remote and Accepted Domains",
  "Set-OutboundConnector": "Remote and Accepted Domains",
  "Remove-OutboundConnector": "Remote and Accepted Domains",
  "Validate-OutboundConnector": "Remote and Accepted Domains",
  "Get-AcceptedDomain": "Remote and Accepted Domains",
  "Get-TransportRule": "Transport Rules",
  "New-TransportRule": "Transport Rules",
  "Set-TransportRule": "Transport Rules",
  "Enable-TransportRule": "Transport Rules",
  "Disable-TransportRule": "Transport Rules",
  "Remove-TransportRule": "Transport Rules",
  "Get-HostedConnectionFilterPolicy": "Transport Hygiene",
  "Set-HostedConnectionFilterPolicy": "Transport Hygiene",
  "Get-OrganizationConfig": "View-Only Configuration",
  "Get-LimitsEnforcementStatus": "View-Only Configuration",
  "Get-Mailbox": "View-Only Recipients",
  "Get-DistributionGroup": "View-Only Recipients",
  // What our own access is made of is still looked at; changing it takes an administrator again.
  "Get-ServicePrincipal": "Role Management",
  "Get-ManagementRole": "Role Management",
  "Get-ManagementRoleEntry": "Role Management",
  "Get-RoleGroup": "Role Management",
  "Get-RoleGroupMember": "Role Management",
  "Get-ManagementRoleAssignment": "Role Management",
  "Get-ManagementScope": "Role Management",
  "Enable-OrganizationCustomization": "bootstrap",
  "Set-OrganizationConfig": "bootstrap",
  "New-ManagementScope": "bootstrap",
  "Set-ManagementScope": "bootstrap",
  "Remove-ManagementScope": "bootstrap",
  "Set-ManagementRoleAssignment": "bootstrap",
  "New-ServicePrincipal": "bootstrap",
  "Remove-ServicePrincipal": "bootstrap",
  "New-ManagementRole": "bootstrap",
  "Remove-ManagementRole": "bootstrap",
  "Add-ManagementRoleEntry": "bootstrap",
  "Remove-ManagementRoleEntry": "bootstrap",
  "New-RoleGroup": "bootstrap",
  "Remove-RoleGroup": "bootstrap",
  "Add-RoleGroupMember": "bootstrap",
  "New-ManagementRoleAssignment": "bootstrap",
  "Remove-ManagementRoleAssignment": "bootstrap",
};

/** The name of our own role that is made from a built-in one. */
export const ownRoleName = (parent: ManagementRoleName): string => `Gatehouse ${parent}`;

/** What we use of a built-in role, in order. */
export const cmdletsFrom = (role: ManagementRoleName): string[] =>
  Object.entries(roleOf)
    .flatMap(([cmdlet, from]) => (from === role ? [cmdlet] : []))
    .toSorted();

/** All that our application may run in the end. */
export const expectedCmdlets = (): string[] => managementRoles.flatMap(cmdletsFrom).toSorted();

export interface CmdletDifference {
  /** Ours to run, and refused. */
  missing: string[];
  /** Allowed, and none of ours. */
  excess: string[];
}

/** Names of cmdlets have no case. */
export function differenceFrom(expected: string[], allowed: string[]): CmdletDifference {
  const lower = (names: string[]): Set<string> => new Set(names.map((name) => name.toLowerCase()));
  const [wanted, had] = [lower(expected), lower(allowed)];
  return {
    missing: expected.filter((name) => !had.has(name.toLowerCase())).toSorted(),
    excess: allowed.filter((name) => !wanted.has(name.toLowerCase())).toSorted(),
  };
}
