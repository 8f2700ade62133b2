/**
 * The built-in management roles of an organisation, as far as this model goes: which cmdlets a role made from one of them may copy.
 *
 * Sources: "Permissions in Exchange Online" and the built-in roles' pages; the roles that Microsoft365DSC's resources ask for
 * (settings.json of each); `Get-ManagementRole -Cmdlet` as "Find the permissions required to run any Exchange cmdlet" has it.
 */
const verbs = (noun: string, ...some: string[]): string[] => some.map((verb) => `${verb}-${noun}`);

export const builtInRoles: Record<string, string[]> = {
  "Remote and Accepted Domains": [
    ...verbs("InboundConnector", "Get", "New", "Set", "Remove"),
    ...verbs("OutboundConnector", "Get", "New", "Set", "Remove", "Validate"),
    ...verbs("AcceptedDomain", "Get"),
  ],
  "Transport Rules": verbs("TransportRule", "Get", "New", "Set", "Enable", "Disable", "Remove"),
  "Transport Hygiene": verbs("HostedConnectionFilterPolicy", "Get", "Set"),
  "View-Only Configuration": [
    "Get-AcceptedDomain",
    "Get-HostedConnectionFilterPolicy",
    "Get-InboundConnector",
    "Get-LimitsEnforcementStatus",
    "Get-ManagementRole",
    "Get-ManagementRoleAssignment",
    "Get-ManagementRoleEntry",
    "Get-OrganizationConfig",
    "Get-OutboundConnector",
    "Get-RoleGroup",
    "Get-RoleGroupMember",
    "Get-TransportRule",
  ],
  "View-Only Recipients": ["Get-Mailbox", "Get-DistributionGroup", "Get-DistributionGroupMember"],
  "Distribution Groups": [
    ...verbs("DistributionGroup", "Get", "New", "Remove"),
    ...verbs("DistributionGroupMember", "Get", "Add", "Remove"),
  ],
  "Organization Configuration": ["Enable-OrganizationCustomization", "Get-OrganizationConfig", "Set-OrganizationConfig"],
  "Role Management": [
    ...verbs("ManagementRole", "Get", "New", "Remove"),
    ...verbs("ManagementRoleAssignment", "Get", "New", "Set", "Remove"),
    ...verbs("ManagementScope", "Get", "New", "Set", "Remove"),
    "Test-ServicePrincipalAuthorization",
    ...verbs("ManagementRoleEntry", "Get", "Add", "Remove"),
    ...verbs("ManagementScope", "Get", "New", "Set", "Remove"),
    ...verbs("RoleGroup", "Get", "New", "Remove"),
    ...verbs("RoleGroupMember", "Get", "Add", "Remove"),
    ...verbs("ServicePrincipal", "Get", "New", "Remove"),
    "Test-ServicePrincipalAuthorization",
  ],
};
