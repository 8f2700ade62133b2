/**
 * What has to be taken away by name, and when; everything else in Azure goes with its resource group. Objects are found by their mark, so
 * that what is desired need say no more than whose they are.
 */
import { forwardingKinds as topToBottom } from "../exchange/rule-kinds.ts";
import type { OtherCertificate } from "./certificate.ts";
import type { Ground } from "./state.ts";
import * as desired from "./state.ts";
import type { Target } from "./target.ts";
import type { DesiredOf } from "../durable/resources.ts";
import type { Resources } from "../resources/index.ts";

/** What is known of what stands. */
export interface Footprint extends Pick<Ground, "loopGuid" | "regions" | "certificate"> {
  otherCertificate?: OtherCertificate | undefined;
  /** The application that reaches mailboxes, where there is one. */
  reader?: { appId: string; servicePrincipalId: string | null } | undefined;
}

export interface Removal {
  kind: keyof Resources;
  /** Name in the operation's step graph. */
  step: string;
  title: string;
  desired: unknown;
}

function removal<Kind extends keyof Resources>(
  kind: Kind,
  title: string,
  wanted: DesiredOf<Resources[Kind]>,
  step: string = kind,
): Removal {
  return { kind, step, title, desired: wanted };
}

/** First of all: from here on no new mail goes to the gateway. The widest goes first, the probe mailbox's last. */
export function forwardingRemovals(target: Target, ground: Footprint): Removal[] {
  const rule = desired.forwardingRule(target, ground, "probe");
  return [
    removal("incomingDomainForwardingRule", "Mail to everybody no longer goes to the gateway", rule),
    removal("domainForwardingRule", "Mail from everybody no longer goes to the gateway", rule),
    removal("incomingGroupForwardingRule", "Mail to the pilot's groups no longer goes to the gateway", rule),
    removal("groupForwardingRule", "Mail from the pilot's groups no longer goes to the gateway", rule),
    removal("incomingForwardingRule", "Mail to the pilot no longer goes to the gateway", rule),
    removal("forwardingRule", "Mail from the pilot no longer goes to the gateway", rule),
  ];
}

/** Once no mail needs them: rules before the connectors that they name, applications before the vault that has their secrets. */
export function connectionRemovals(target: Target, ground: Footprint): Removal[] {
  const { reader } = ground;
  const scoped = reader && desired.mailboxAccess(target, reader);
  const exchangeWebServices = desired.exchangeWebServicesApplication(target);
  const webClient = desired.webClientApplication(target, ground);
  const powerShell = desired.powerShellApplication(target, { appId: "", objectId: "" });
  const { otherCertificate } = ground;
  const beside = desired.besideConnector({ ...target, ...(otherCertificate && { otherCertificate }) }, ground);
  return [
    removal("bypassRule", "Bypass rule removed, where there is one", desired.bypassRule(target, ground)),
    removal("approvalRule", "Approval rule removed", desired.approvalRule(target, ground)),
    removal("guardRule", "Guard rule removed", desired.guardRule(target, ground)),
    removal("stripRule", "Strip rule removed", desired.stripRule(target)),
    removal("outboundConnector", "Outbound connector removed", desired.outboundConnector(target, ground)),
    removal("inboundConnector", "Inbound connector removed", desired.inboundConnector(target, ground)),
    removal(
      "inboundConnector",
      "Inbound connector of the other form removed",
      desired.otherInboundConnector(target, ground),
      "otherInboundConnector",
    ),
    ...(beside
      ? [removal("inboundConnector", "Inbound connector of the other certificate removed", beside, "besideInboundConnector")]
      : []),
    ...(target.spec.connectionFilter
      ? [
          removal(
            "connectionFilter",
            "The gateway's addresses taken from the connection filter",
            desired.connectionFilter(target, ground),
          ),
        ]
      : []),
    ...(reader && exchangeWebServices
      ? [
          removal(
            "exchangeWebServicesPolicy",
            "Application taken from those that may use Exchange Web Services",
            desired.exchangeWebServicesPolicy(target, reader),
          ),
        ]
      : []),
    ...(scoped ? [removal("mailboxAccess", "Application's access to mailboxes removed", scoped)] : []),
    ...(exchangeWebServices
      ? [removal("exchangeWebServicesApplication", "Application for Exchange Web Services removed", exchangeWebServices)]
      : []),
    ...(powerShell ? [removal("powerShellApplication", "PowerShell application removed", powerShell)] : []),
    removal("webClientApplication", "WebClient application removed", webClient),
  ];
}

/** In the order in which they go: the widest first. */
export const forwardingKinds: readonly string[] = topToBottom.toReversed();

/** In the order in which they go, once no mail needs them. */
export const connectionKinds: readonly string[] = [
  "approvalRule",
  "guardRule",
  "stripRule",
  "outboundConnector",
  "inboundConnector",
  "connectionFilter",
  "spfRecord",
  "exchangeWebServicesPolicy",
  "mailboxAccess",
  "exchangeWebServicesApplication",
  "powerShellApplication",
  "webClientApplication",
] satisfies (keyof Resources)[];

/** Kinds that go with a resource group, or with what is in one. */
export const goesWithItsGroup: readonly (keyof Resources)[] = [
  "vmIdentity",
  "vault",
  "roleAssignment",
  "tlsCertificate",
  "publicIpAddress",
  "networkSecurityGroup",
  "virtualNetwork",
  "availabilitySet",
  "loadBalancer",
  "networkInterface",
  "gatewayVm",
  "guest",
  "dataCollectionRule",
  "monitorAgent",
  "dataCollectionAssociation",
  "diagnosticSetting",
  "diagnosticsAccount",
  "sqlServer",
  "sqlFirewallRules",
  "sqlDatabase",
];

/** Kinds that stay, each with what the operation's result says of it, where the tenant has it. */
export const remains: Partial<Record<keyof Resources, (target: Target, ground: Footprint) => string | undefined>> = {
  marketplaceTerms: (target) =>
    desired.marketplaceTerms(target) && "the terms of the marketplace image: they are accepted for the whole subscription",
  // A released address is somebody else's tomorrow.
  spfRecord: ({ spec: { microsoft365 } }, ground) =>
    `SPF records of ${microsoft365.domains.join(", ")}: whoever published ${desired.egressIps(ground).join(", ")} there takes it out`,
  roleGroup: ({ spec: { microsoft365 } }) =>
    microsoft365.leastPrivilege === true
      ? "our role group in Exchange Online, its roles and our service principal there, which our rights don't reach: an administrator removes them"
      : undefined,
  managementRole: () => undefined,
  exchangePrincipal: () => undefined,
};
