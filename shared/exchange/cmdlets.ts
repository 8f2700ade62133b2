/** The Exchange Online cmdlets that we use: their parameters as types, what they give back as schemas. */
import * as z from "zod";
import type { Hashtable } from "./encoding.ts";

/** Replaces the whole list, or adds and removes without touching what others put there. */
type MultiValued = string[] | Hashtable;

// Exchange gives `null` for what was never set, leaves out what the version doesn't have, and is loose about numbers and booleans.
const text = z.string().nullish();
const flag = z.boolean().nullish();
const list = z
  .union([z.array(z.union([z.string(), z.number()]).transform(String)), z.string().transform((value) => [value])])
  .nullish()
  .transform((value) => value ?? []);

export const inboundConnectorSchema = z.looseObject({
  Guid: z.string(),
  Name: z.string(),
  Comment: text,
  Enabled: flag,
  ConnectorType: text,
  SenderDomains: list,
  SenderIPAddresses: list,
  TlsSenderCertificateName: text,
  RequireTls: flag,
  RestrictDomainsToCertificate: flag,
  CloudServicesMailEnabled: flag,
  TreatMessagesAsInternal: flag,
  EFSkipLastIP: flag,
});
export type InboundConnectorObject = z.output<typeof inboundConnectorSchema>;

// `UseMXRecord` and `UseMxRecord` are both seen.
export const outboundConnectorSchema = z.looseObject({
  Guid: z.string(),
  Name: z.string(),
  Comment: text,
  Enabled: flag,
  ConnectorType: text,
  IsTransportRuleScoped: flag,
  UseMXRecord: flag,
  UseMxRecord: flag,
  SmartHosts: list,
  TlsSettings: text,
  TlsDomain: text,
  AllAcceptedDomains: flag,
  RouteAllMessagesViaOnPremises: flag,
  CloudServicesMailEnabled: flag,
  TestMode: flag,
});
export type OutboundConnectorObject = z.output<typeof outboundConnectorSchema>;

export const transportRuleSchema = z.looseObject({
  Guid: z.string(),
  Name: z.string(),
  Comments: text,
  State: text,
  Mode: text,
  Priority: z.coerce.number(),
  From: list,
  FromMemberOf: list,
  FromScope: text,
  SentTo: list,
  SentToMemberOf: list,
  SenderDomainIs: list,
  RecipientDomainIs: list,
  SentToScope: text,
  SenderIpRanges: list,
  HeaderContainsMessageHeader: text,
  HeaderContainsWords: list,
  ExceptIfFrom: list,
  ExceptIfHeaderContainsMessageHeader: text,
  ExceptIfHeaderContainsWords: list,
  ExceptIfSenderIpRanges: list,
  ExceptIfHeaderMatchesMessageHeader: text,
  ExceptIfHeaderMatchesPatterns: list,
  ExceptIfMessageTypeMatches: text,
  ExceptIfMessageSizeOver: text,
  RouteMessageOutboundConnector: text,
  RemoveHeader: text,
  SetHeaderName: text,
  SetHeaderValue: text,
  SetSCL: z.union([z.string(), z.number()]).nullish(),
  RuleErrorAction: text,
  StopRuleProcessing: flag,
});
export type TransportRuleObject = z.output<typeof transportRuleSchema>;

export const connectionFilterPolicySchema = z.looseObject({ Name: z.string(), IPAllowList: list, IPBlockList: list });
export type ConnectionFilterPolicyObject = z.output<typeof connectionFilterPolicySchema>;

/** One test of one smart host or one mail. Undocumented: `TaskName` and `IsTaskSuccessful` are what scripts in the field select. */
export const connectorValidationSchema = z.looseObject({
  TaskName: text,
  IsTaskSuccessful: flag,
  Detail: text,
  TaskDetail: text,
});
export type ConnectorValidationObject = z.output<typeof connectorValidationSchema>;

export const acceptedDomainSchema = z.looseObject({ DomainName: z.string(), DomainType: text, Default: flag });

/** `EwsEnabled` is null where nobody has decided; the allow list of applications is one string, with commas. */
export const organizationConfigSchema = z.looseObject({
  Name: text,
  IsDehydrated: flag,
  RejectDirectSend: flag,
  EwsEnabled: flag,
  EwsAllowedAppIDs: z.union([z.string(), z.array(z.string())]).nullish(),
});
export type OrganizationConfigObject = z.output<typeof organizationConfigSchema>;

export const distributionGroupSchema = z.looseObject({ DistinguishedName: z.string(), PrimarySmtpAddress: text });

/** Exchange's reference of an application in Entra. */
export const servicePrincipalSchema = z.looseObject({ AppId: z.string(), ObjectId: z.string(), DisplayName: text });

/** Set as `RecipientRestrictionFilter`, shown as `RecipientFilter`. */
export const managementScopeSchema = z.looseObject({ Name: z.string(), RecipientFilter: text });

/** An application is shown by its service principal's object id; its scope also as that of any other assignment. */
export const managementRoleAssignmentSchema = z.looseObject({
  Name: z.string(),
  Role: text,
  RoleAssigneeName: text,
  CustomResourceScope: text,
  CustomRecipientWriteScope: text,
});

export const mailboxSchema = z.looseObject({
  RetentionPolicy: text,
  LitigationHoldEnabled: flag,
  InPlaceHolds: list.optional(),
  ArchiveGuid: text,
  AcceptMessagesOnlyFromSendersOrMembers: list.optional(),
  PrimarySmtpAddress: text,
  RecipientTypeDetails: text,
  /** Whether a licence with a mailbox is assigned. */
  SKUAssigned: flag,
  /** A number or "Unlimited". */
  RecipientLimits: z.union([z.string(), z.number()]).nullish(),
  MaxSendSize: text,
});
export type MailboxObject = z.output<typeof mailboxSchema>;

/** How many external recipients the organisation had in the last 24 hours, of how many that its licences allow. */
export const limitsEnforcementSchema = z.looseObject({
  ObservedValue: z.coerce.number().nullish(),
  Threshold: z.coerce.number().nullish(),
  EnforcementEnabled: flag,
  Verdict: text,
});
export type LimitsEnforcementObject = z.output<typeof limitsEnforcementSchema>;

export const managementRoleSchema = z.looseObject({ Name: z.string(), Guid: z.string(), Description: text });
export const managementRoleEntrySchema = z.looseObject({ Name: z.string() });
export const roleGroupSchema = z.looseObject({ Name: z.string(), Guid: z.string(), Description: text, Roles: list });
/** A service principal is known by its object id in Entra. */
export const roleGroupMemberSchema = z.looseObject({ Name: z.string(), ExternalDirectoryObjectId: text });

const anything = z.looseObject({});

/** Any of them; what is undefined isn't sent. */
type Some<Parameters> = { [Name in keyof Parameters]?: Parameters[Name] | undefined };

interface InboundConnectorParameters {
  Name: string;
  Comment: string;
  Enabled: boolean;
  ConnectorType: "OnPremises" | "Partner";
  SenderDomains: MultiValued;
  /** IPv4 addresses or ranges of /24 to /32. */
  SenderIPAddresses: MultiValued;
  TlsSenderCertificateName: string;
  RequireTls: boolean;
  RestrictDomainsToCertificate: boolean;
  CloudServicesMailEnabled: boolean;
  TreatMessagesAsInternal: boolean;
  EFSkipLastIP: boolean;
}

interface OutboundConnectorParameters {
  Name: string;
  Comment: string;
  Enabled: boolean;
  ConnectorType: "OnPremises" | "Partner";
  IsTransportRuleScoped: boolean;
  UseMXRecord: boolean;
  SmartHosts: MultiValued;
  TlsSettings: "EncryptionOnly" | "CertificateValidation" | "DomainValidation";
  /** `null` clears it. */
  TlsDomain: string | null;
  AllAcceptedDomains: boolean;
  RouteAllMessagesViaOnPremises: boolean;
  CloudServicesMailEnabled: boolean;
  TestMode: boolean;
}

/** `null` clears a condition; only Set-TransportRule may be told so. */
interface TransportRuleParameters<Cleared = never> {
  Name: string;
  Comments: string;
  Mode: "Audit" | "AuditAndNotify" | "Enforce";
  Priority: number;
  From: string[];
  FromMemberOf: string[];
  FromScope: "InOrganization" | "NotInOrganization" | Cleared;
  SentTo: string[];
  SentToMemberOf: string[];
  SenderDomainIs: string[];
  RecipientDomainIs: string[];
  SentToScope: "InOrganization" | "NotInOrganization" | Cleared;
  SenderIpRanges: string[];
  HeaderContainsMessageHeader: string | Cleared;
  HeaderContainsWords: string[];
  ExceptIfFrom: string[];
  ExceptIfHeaderContainsMessageHeader: string | Cleared;
  ExceptIfHeaderContainsWords: string[];
  ExceptIfSenderIpRanges: string[];
  ExceptIfHeaderMatchesMessageHeader: string | Cleared;
  ExceptIfHeaderMatchesPatterns: string[];
  ExceptIfMessageTypeMatches: "OOF" | Cleared;
  /** Such as `35 MB`. */
  ExceptIfMessageSizeOver: string | Cleared;
  RouteMessageOutboundConnector: string;
  RemoveHeader: string;
  SetHeaderName: string;
  SetHeaderValue: string;
  SetSCL: string;
  RuleErrorAction: "Ignore" | "Defer";
  StopRuleProcessing: boolean;
}

interface Identified {
  Identity: string;
}

/** Without `Confirm: false` a removal is only validated: Exchange answers 200 and nothing is gone. The client adds it. */
type Removal = Identified;

/** `Get-OutboundConnector` leaves rule-scoped and test-mode connectors out of a list that doesn't ask for them. */
interface OutboundConnectorQuery {
  Identity?: string;
  IsTransportRuleScoped?: boolean;
  IncludeTestModeConnectors?: boolean;
}

/** Parameters of each cmdlet: a wrong one doesn't compile. Source: the cmdlets' reference pages (ExchangePowerShell). */
export interface CmdletParameters {
  "Get-InboundConnector": { Identity?: string };
  "New-InboundConnector": Some<InboundConnectorParameters> & { Name: string; SenderDomains: string[] };
  "Set-InboundConnector": Some<InboundConnectorParameters> & Identified;
  "Remove-InboundConnector": Removal;
  "Get-OutboundConnector": OutboundConnectorQuery;
  "New-OutboundConnector": Some<OutboundConnectorParameters> & { Name: string };
  "Set-OutboundConnector": Some<OutboundConnectorParameters> & Identified;
  "Remove-OutboundConnector": Removal;
  "Validate-OutboundConnector": Identified & { Recipients: string[] };
  "Get-TransportRule": { Identity?: string };
  // A rule is switched by Enable- and Disable-TransportRule: Set-TransportRule has no such parameter.
  "New-TransportRule": Some<TransportRuleParameters> & { Name: string; Enabled?: boolean };
  "Set-TransportRule": Some<TransportRuleParameters<null>> & Identified;
  "Enable-TransportRule": Identified;
  "Disable-TransportRule": Identified;
  "Remove-TransportRule": Removal;
  "Get-HostedConnectionFilterPolicy": { Identity?: string };
  // Always Add and Remove: a plain array would replace the customer's own list.
  "Set-HostedConnectionFilterPolicy": Identified & { IPAllowList: Hashtable };
  "Get-AcceptedDomain": { Identity?: string };
  // With the parameter the answer has the allow list of applications too.
  "Get-OrganizationConfig": { RetrieveEwsOperationAccessPolicy?: boolean };
  // The list replaces the one that is there. Null is nobody's decision, and an empty list.
  "Set-OrganizationConfig": { EwsAllowedAppIDs?: string | null; EwsEnabled?: boolean };
  "Get-DistributionGroup": Identified;
  "Get-ServicePrincipal": { Identity?: string };
  "New-ServicePrincipal": { AppId: string; ObjectId: string; DisplayName?: string };
  "Remove-ServicePrincipal": Removal;
  "Get-ManagementScope": { Identity?: string };
  "New-ManagementScope": { Name: string; RecipientRestrictionFilter: string };
  "Set-ManagementScope": Identified & { RecipientRestrictionFilter: string };
  "Remove-ManagementScope": Removal;
  "Get-ManagementRoleAssignment": { Identity?: string; RoleAssignee?: string; Role?: string };
  // An application gets roles of applications only, and nobody else gets these.
  "New-ManagementRoleAssignment":
    | { Name?: string; Role: string; App: string; CustomResourceScope: string }
    | { Role: string; SecurityGroup: string };
  "Set-ManagementRoleAssignment": Identified & { CustomResourceScope: string };
  "Remove-ManagementRoleAssignment": Removal;
  "Get-Mailbox": { Identity?: string };
  "Get-LimitsEnforcementStatus": Record<string, never>;
  "Enable-OrganizationCustomization": Record<string, never>;
  "Get-ManagementRole": { Identity?: string };
  "New-ManagementRole": { Name: string; Parent: string; EnabledCmdlets: string[]; Description: string };
  "Remove-ManagementRole": Removal;
  /** `Role\\Cmdlet`, or `Role\\*` for all of a role's. */
  "Get-ManagementRoleEntry": Identified;
  "Add-ManagementRoleEntry": Identified;
  "Remove-ManagementRoleEntry": Removal;
  "Get-RoleGroup": { Identity?: string };
  "New-RoleGroup": { Name: string; Description: string; Roles: string[]; Members: string[] };
  "Remove-RoleGroup": Removal;
  "Get-RoleGroupMember": Identified;
  "Add-RoleGroupMember": Identified & { Member: string };
}

export type Cmdlet = keyof CmdletParameters;
export type ReadCmdlet = Extract<Cmdlet, `Get-${string}`>;
export type WriteCmdlet = Exclude<Cmdlet, ReadCmdlet>;

export const resultSchemas = {
  "Get-InboundConnector": inboundConnectorSchema,
  "New-InboundConnector": anything,
  "Set-InboundConnector": anything,
  "Remove-InboundConnector": anything,
  "Get-OutboundConnector": outboundConnectorSchema,
  "New-OutboundConnector": anything,
  "Set-OutboundConnector": anything,
  "Remove-OutboundConnector": anything,
  "Validate-OutboundConnector": connectorValidationSchema,
  "Get-TransportRule": transportRuleSchema,
  "New-TransportRule": anything,
  "Set-TransportRule": anything,
  "Enable-TransportRule": anything,
  "Disable-TransportRule": anything,
  "Remove-TransportRule": anything,
  "Get-HostedConnectionFilterPolicy": connectionFilterPolicySchema,
  "Set-HostedConnectionFilterPolicy": anything,
  "Get-AcceptedDomain": acceptedDomainSchema,
  "Get-OrganizationConfig": organizationConfigSchema,
  "Set-OrganizationConfig": anything,
  "Get-DistributionGroup": distributionGroupSchema,
  "Get-ServicePrincipal": servicePrincipalSchema,
  "New-ServicePrincipal": anything,
  "Remove-ServicePrincipal": anything,
  "Get-ManagementScope": managementScopeSchema,
  "New-ManagementScope": anything,
  "Set-ManagementScope": anything,
  "Remove-ManagementScope": anything,
  "Get-ManagementRoleAssignment": managementRoleAssignmentSchema,
  "New-ManagementRoleAssignment": anything,
  "Set-ManagementRoleAssignment": anything,
  "Remove-ManagementRoleAssignment": anything,
  "Get-Mailbox": mailboxSchema,
  "Get-LimitsEnforcementStatus": limitsEnforcementSchema,
  "Enable-OrganizationCustomization": anything,
  "Get-ManagementRole": managementRoleSchema,
  "New-ManagementRole": anything,
  "Remove-ManagementRole": anything,
  "Get-ManagementRoleEntry": managementRoleEntrySchema,
  "Add-ManagementRoleEntry": anything,
  "Remove-ManagementRoleEntry": anything,
  "Get-RoleGroup": roleGroupSchema,
  "New-RoleGroup": anything,
  "Remove-RoleGroup": anything,
  "Get-RoleGroupMember": roleGroupMemberSchema,
  "Add-RoleGroupMember": anything,
} as const satisfies Record<Cmdlet, z.ZodType>;

export type CmdletResult<C extends Cmdlet> = z.output<(typeof resultSchemas)[C]>;
