/** Microsoft's own applications that every tenant can use: the resources whose app roles are granted at admin consent. */
import type { CloudEnvironment } from "../../../../shared/environment.ts";

export interface Permission {
  id: string;
  value: string;
  displayName: string;
}

export interface FirstPartyApplication {
  appId: string;
  displayName: string;
  /** What a scope may name instead of the application id; the access token's audience. */
  audience(environment: CloudEnvironment): string;
  appRoles: Permission[];
  oauth2PermissionScopes: Permission[];
}

const permission = (id: string, value: string, displayName: string): Permission => ({ id, value, displayName });

export const microsoftGraph = "00000003-0000-0000-c000-000000000000";
export const exchangeOnline = "00000002-0000-0ff1-ce00-000000000000";
export const azureServiceManagement = "797f4846-ba00-4fd7-ba43-dac1f8f63013";
export const azureKeyVault = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093";
export const tokenExchange = "fb60f99c-7a34-4190-8149-302f77469936";

/** Entra's built-in role "Exchange Administrator", the role that app-only Exchange needs beside Exchange.ManageAsApp. */
export const exchangeAdministrator = "29232cdf-9323-42fd-ade2-1d097af3e4de";

/** Ids: Microsoft Graph permissions reference; "App-only authentication for unattended scripts in Exchange Online PowerShell". */
export const firstPartyApplications: FirstPartyApplication[] = [
  {
    appId: microsoftGraph,
    displayName: "Microsoft Graph",
    audience: ({ graph }) => graph.audience,
    appRoles: [
      permission("1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9", "Application.ReadWrite.All", "Read and write all applications"),
      permission(
        "18a4783c-866b-4cc7-a460-3d5e5662c884",
        "Application.ReadWrite.OwnedBy",
        "Manage apps that this app creates or owns",
      ),
      permission(
        "06b708a9-e830-4db3-a914-8e69da51d44f",
        "AppRoleAssignment.ReadWrite.All",
        "Manage app permission grants and app role assignments",
      ),
      permission(
        "8e8e4742-1d95-4f68-9d56-6ee75648c72a",
        "DelegatedPermissionGrant.ReadWrite.All",
        "Manage all delegated permission grants",
      ),
      permission("7ab1d382-f21e-4acd-a863-ba3e13f7da61", "Directory.Read.All", "Read directory data"),
      permission("dbb9058a-0e50-45d7-ae91-66909b5d4664", "Domain.Read.All", "Read domains"),
      permission("7e05723c-0bb0-42da-be95-ae9f08a6e53c", "Domain.ReadWrite.All", "Read and write domains"),
      // Its id in the real directory isn't published; who assigns it finds it by its name.
      permission("7ace0000-0000-4000-8000-000000000001", "ExchangeMessageTrace.Read.All", "Read message traces"),
      permission("98830695-27a2-44f7-8c18-0c3ebc9698f6", "GroupMember.Read.All", "Read all group memberships"),
      permission("810c84a8-4a9e-49e6-bf7d-12d183f40d01", "Mail.Read", "Read mail in all mailboxes"),
      permission("b633e1c5-b582-4048-a93e-9f11b44c7e96", "Mail.Send", "Send mail as any user"),
      permission("498476ce-e0fe-48b0-b801-37ba7e2685c6", "Organization.Read.All", "Read organization information"),
      permission(
        "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8",
        "RoleManagement.ReadWrite.Directory",
        "Read and write all directory RBAC settings",
      ),
      permission("df021288-bdef-4463-88db-98f22de89214", "User.Read.All", "Read all users' full profiles"),
    ],
    oauth2PermissionScopes: [
      permission("06da0dbc-49e2-44d2-8312-53f166ab848a", "Directory.Read.All", "Read directory data"),
      permission("e1fe6dd8-ba31-4d61-89e7-88639da4683d", "User.Read", "Sign in and read user profile"),
    ],
  },
  {
    appId: exchangeOnline,
    displayName: "Office 365 Exchange Online",
    audience: ({ exchange }) => exchange.audience,
    appRoles: [
      permission("dc50a0fb-09a3-484d-be87-e023b12c6440", "Exchange.ManageAsApp", "Manage Exchange As Application"),
      permission(
        "dc890d15-9560-4a4c-9b7f-a736ec74ec40",
        "full_access_as_app",
        "Use Exchange Web Services with full access to all mailboxes",
      ),
    ],
    oauth2PermissionScopes: [],
  },
  {
    appId: azureServiceManagement,
    displayName: "Windows Azure Service Management API",
    audience: ({ resourceManager }) => resourceManager.audience,
    appRoles: [],
    oauth2PermissionScopes: [
      permission("41094075-9dad-400e-a0bd-54e686782033", "user_impersonation", "Access Azure Service Management"),
    ],
  },
  {
    appId: azureKeyVault,
    displayName: "Azure Key Vault",
    audience: ({ vault }) => vault.audience,
    appRoles: [],
    oauth2PermissionScopes: [
      permission("f53da476-18e3-4152-8e01-aec403e6edc0", "user_impersonation", "Have full access to the Azure Key Vault service"),
    ],
  },
  {
    appId: tokenExchange,
    displayName: "AAD Token Exchange Endpoint",
    audience: ({ tokenExchangeAudience }) => tokenExchangeAudience,
    appRoles: [],
    oauth2PermissionScopes: [],
  },
];
