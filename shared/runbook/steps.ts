/** The step graph of an onboarding, known before it starts: what the operation shows as pending, in the order a reader expects. */
import type { MachineRole } from "../azure/names.ts";
import { openServices } from "../azure/services.ts";
import { type MachineBeside, machinesBeside, servicesBeside } from "../desired/beside.ts";
import { machineTitles, regionTitles, type Title } from "../desired/machines.ts";
import { namedSecrets } from "../desired/iq-suite.ts";
import type { Standing } from "../desired/standing.ts";
import { managementRoles, roleStep } from "../desired/privilege.ts";
import { azureSqlOf } from "../desired/state.ts";
import type { ForwardingKind } from "../desired/ways.ts";
import { zoneOf } from "../tenants/dns-zones.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import { droppingSteps, movingSteps, widened } from "./move-steps.ts";
import { closedStep, spfStep } from "./runbook.ts";

export type Branch = "access" | "root" | "gateway" | "directory" | "mailFlow" | "proof";
export interface StepTitle {
  name: string;
  title: string;
  branch: Branch;
}

const step = (branch: Branch, name: string, title: string): StepTitle => ({ name, title, branch });

const titled = (places: Title[], branch: Branch, name: string, title: string): StepTitle[] =>
  places.map(({ suffix, where }) => step(branch, name + suffix, [title, ...where].join(", ")));

/** Whether it is needed shows when the region is asked for its zones. */
export const setIsPlanned = ({ gateway: { placement } }: { gateway: Pick<TenantSpec["gateway"], "placement"> }): boolean =>
  placement === "automatic" || placement === "availabilitySet";

const guestTitles: Record<MachineRole, string> = {
  keyManager: "Firewall in KeyManager's VM",
  ucm: "Firewall, browser settings and service account in UCM's VM",
};

const besideSteps = ({ role, title, address }: MachineBeside): StepTitle[] => [
  step("gateway", `${role}Identity`, `${title}'s own identity`),
  step("gateway", `${role}SecurityGroup`, `${title}'s network security group`),
  ...(address ? [step("gateway", `${role}Address`, `${title}'s public address with its name`)] : []),
  step("gateway", `${role}Placement`, `Size and place that Azure has for ${title}`),
  step("gateway", `${role}Interface`, `${title}'s network interface`),
  step("gateway", `${role}Vm`, `${title} VM`),
  step("gateway", `${role}Guest`, guestTitles[role]),
];

/** Of the domains whose zones we may write; the others' records are a person's. */
const spfTitles = (
  { microsoft365: { domains }, spf }: Pick<TenantSpec, "microsoft365" | "spf">,
  branch: Branch,
  earlier: Parameters<typeof spfStep>[1],
  what: string,
): StepTitle[] =>
  domains
    .filter((domain) => zoneOf(spf?.zones ?? [], domain) !== undefined)
    .map((domain, index) => step(branch, spfStep(index, earlier), `SPF record of ${domain} ${what}`));

const closedTitles: Record<ForwardingKind, string> = {
  forwardingRule: "Mail from the pilot goes round the gateway again",
  incomingForwardingRule: "Mail to the pilot goes round the gateway again",
  groupForwardingRule: "Mail from the pilot's groups goes round the gateway again",
  incomingGroupForwardingRule: "Mail to the pilot's groups goes round the gateway again",
  domainForwardingRule: "Mail from everybody goes round the gateway again",
  incomingDomainForwardingRule: "Mail to everybody goes round the gateway again",
};

/** What stage `live` has beside. */
export const liveTitles = ({ pilot }: Pick<TenantSpec, "pilot">): StepTitle[] => [
  step("mailFlow", "domainForwardingRule", "Forwarding rule for everybody in the domains"),
  ...(pilot.incoming ? [step("mailFlow", "incomingDomainForwardingRule", "Mail to everybody forwarded, too")] : []),
];

type Spec = Pick<TenantSpec, "canary" | "connectionFilter" | "database" | "gateway" | "microsoft365" | "pilot" | "spf" | "ucm">;

/** `standing`: where the spec asks for another number of machines than stand, or for fewer ways of mail. */
export function onboardingSteps(spec: Spec, standing?: Standing, live = false): StepTitle[] {
  const { canary, connectionFilter, database, gateway, pilot, microsoft365, spf, ucm } = standing
    ? widened(spec, standing)
    : spec;
  const inRegions = (branch: Branch, name: string, title: string): StepTitle[] =>
    titled(regionTitles({ gateway }), branch, name, title);
  const onMachines = (branch: Branch, name: string, title: string): StepTitle[] =>
    titled(machineTitles({ gateway }), branch, name, title);
  const balanced = regionTitles({ gateway }).filter((_, index) => (gateway.regions[index]?.machines ?? 1) > 1);
  return [
    step("access", "consent", "Admin consent, and the domains verified there"),
    step("access", "azureAccess", "Access to the Azure subscription"),
    step("access", "preflight", "Nothing known stands in the way: port 25, sizes, quotas, names, mail exchanger"),
    ...(gateway.image.acceptTerms === true
      ? [step("root", "marketplaceTerms", "Terms of the marketplace image, accepted for the subscription")]
      : []),
    ...inRegions("root", "resourceGroup", "Resource group"),
    ...(gateway.monitoring ? [step("root", "dataCollectionRule", "What machines report to the workspace of the customer")] : []),
    step("root", "vmIdentity", "The gateway's own identity"),
    step("root", "vault", "Key vault"),
    step("root", "vaultAccessForGatehouse", "Gatehouse may write the vault's secrets"),
    step("root", "vaultAccessForGateway", "The gateway may read the vault's secrets"),
    ...(gateway.certificate
      ? [
          step("root", "certificateAccess", "Gatehouse may see to the vault's certificates"),
          step("root", "tlsCertificate", "The gateway's certificate, in the vault"),
        ]
      : []),
    step("root", "loopGuid", "Loop GUID, in the vault"),
    step("root", "adminPassword", "Administrator's password, in the vault"),
    ...(namedSecrets({ gateway }).length === 0
      ? []
      : [step("root", "namedSecrets", "Secrets that the spec names, in the vault")]),
    ...onMachines("root", "publicIpAddress", "Static public address with its name"),
    ...onMachines("root", "screened", "No blocklist has the new address"),
    ...(gateway.diagnostics
      ? inRegions("root", "diagnosticsAccount", "Storage account for what machines say while they start")
      : []),
    ...titled(balanced, "root", "loadBalancerAddress", "The load balancer's public address"),
    ...inRegions("gateway", "networkSecurityGroup", "Network security group"),
    ...(openServices(servicesBeside({ gateway, ucm })).length === 0
      ? []
      : [step("gateway", "subnetSecurityGroup", "The subnet's network security group")]),
    ...inRegions("gateway", "virtualNetwork", "Virtual network and subnet"),
    ...inRegions("gateway", "placement", "Sizes and places that Azure has for the machines"),
    ...(setIsPlanned({ gateway }) ? inRegions("gateway", "availabilitySet", "Availability set, where there are no zones") : []),
    ...titled(balanced, "gateway", "loadBalancer", "Load balancer with its probes"),
    ...(gateway.monitoring ? titled(balanced, "gateway", "diagnosticSetting", "The load balancer reports to the workspace") : []),
    ...onMachines("gateway", "networkInterface", "Network interface"),
    ...onMachines("gateway", "gatewayVm", "Gateway VM"),
    ...onMachines("gateway", "guest", "SMTP server, loop header and firewall in the VM"),
    ...(gateway.certificate ? onMachines("gateway", "certificateShown", "The SMTP server shows the certificate") : []),
    ...(gateway.monitoring
      ? [
          ...onMachines("gateway", "monitorAgent", "Azure Monitor's agent in the VM"),
          ...onMachines("gateway", "dataCollectionAssociation", "The VM reports to the workspace"),
        ]
      : []),
    ...machinesBeside({ gateway, ucm }).flatMap(besideSteps),
    ...(azureSqlOf({ database }) === undefined
      ? []
      : [
          step("gateway", "sqlServer", "Azure SQL server, where only Entra signs in"),
          step("gateway", "sqlFirewallRules", "Only the gateways reach the Azure SQL server"),
          step("gateway", "iqSuiteDatabase", "iQ.Suite's database"),
          step("gateway", "webClientDatabase", "WebClient's database"),
        ]),
    step("directory", "webClientApplication", "WebClient application in Entra"),
    ...(microsoft365.powerShellApplication === true
      ? [step("directory", "powerShellApplication", "PowerShell application in Entra")]
      : []),
    ...(gateway.exchangeWebServices
      ? [
          step("directory", "exchangeWebServicesApplication", "Application for Exchange Web Services in Entra"),
          ...(gateway.exchangeWebServices.access === "group"
            ? [step("directory", "mailboxAccess", "Exchange Online opens the group's mailboxes to it, and no others")]
            : []),
          step("directory", "exchangeWebServicesPolicy", "Exchange Online lets it use Exchange Web Services"),
        ]
      : []),
    ...spfTitles({ microsoft365, spf }, "mailFlow", "stay", "lists the gateways"),
    ...(microsoft365.leastPrivilege === true
      ? [
          step("access", "exchangePrincipal", "Our application, known to Exchange Online"),
          ...managementRoles.map((parent) => step("access", roleStep(parent), `What we need of the role ${parent}`)),
          step("access", "roleGroup", "Role group with these roles, for our application"),
        ]
      : []),
    ...(standing?.knownBy === "address"
      ? [step("mailFlow", "inboundConnectorWidened", "Inbound connector by address: the new machines' addresses, too")]
      : []),
    step("mailFlow", "inboundConnector", "Inbound connector: gateway to Microsoft 365"),
    step("mailFlow", "outboundConnector", "Outbound connector: Microsoft 365 to gateway"),
    ...(connectionFilter ? [step("mailFlow", "connectionFilter", "Connection filter admits the gateway")] : []),
    step("mailFlow", "guardRule", "Guard rule: nobody else's loop header counts"),
    step("mailFlow", "approvalRule", "Approval rule: handled mail passes"),
    step("mailFlow", "stripRule", "Strip rule: the loop header stays inside"),
    ...(standing?.knownBy
      ? [step("mailFlow", "acceptedEverywhere", "Everybody has had the time to hear of the new machines")]
      : []),
    step("mailFlow", "forwardingRule", "Forwarding rule, for the probe mailbox only"),
    ...(pilot.incoming ? [step("mailFlow", "incomingForwardingRule", "The same for mail to the probe mailbox")] : []),
    step("proof", "inboundConnectorReadBack", "Inbound connector read back"),
    step("proof", "approvalRuleReadBack", "Approval rule read back"),
    ...(standing ? movingSteps(standing) : []),
    step("proof", "startTls", "Exchange Online reaches the gateway with STARTTLS"),
    step("proof", "probeMail", "A probe mail came back through the gateway"),
    ...(standing?.closedWays ?? []).map((kind) => step("proof", closedStep(kind), closedTitles[kind])),
    ...(canary ? [step("proof", "canaryMail", "Marked mails inside, out and in, traced through the gateway")] : []),
    step("proof", "pilotScope", "Forwarding rule widened to the pilot"),
    ...(pilot.incoming ? [step("proof", "incomingPilotScope", "Mail to the pilot forwarded, too")] : []),
    ...(pilot.groups ? [step("proof", "groupForwardingRule", "Forwarding rule for the pilot's groups")] : []),
    ...(pilot.groups && pilot.incoming
      ? [step("proof", "incomingGroupForwardingRule", "Mail to the pilot's groups forwarded, too")]
      : []),
    ...(live ? liveTitles({ pilot }) : []),
    step("proof", "pilotProbeMail", "A probe mail came back after widening"),
    ...(gateway.certificate ? [step("proof", "otherConnector", "Inbound connector of the other form gone")] : []),
    ...(microsoft365.leastPrivilege === true
      ? [
          step("proof", "roleGroupReadBack", "Role group read back"),
          step(
            "proof",
            "leastPrivilege",
            "Exchange Administrator given up: our application may run what it needs, and nothing else",
          ),
        ]
      : []),
    ...(standing ? droppingSteps(spec, standing) : []),
    ...spfTitles({ microsoft365, spf }, "proof", "go", "lists no address of ours that is gone"),
    ...(spf ? [step("proof", "spfCheck", "SPF looked up at the domains' own name servers")] : []),
  ];
}
