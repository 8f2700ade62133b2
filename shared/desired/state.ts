/** From a tenant's spec to the desired state of each resource: pure, so that plan, onboarding and later drift mean the same thing. */
import { gatewayIdOf } from "../api/gateway-id.ts";
import { vmIdOf } from "../api/heartbeat.ts";
import type { DesiredOf } from "../durable/resources.ts";
import type { AddressNames, MachineNames, MachineRole, RegionNames, RoleNames } from "../azure/names.ts";
import { eitherOf, openServices } from "../azure/services.ts";
import { backendPoolIn, virtualMachineId } from "../azure/place.ts";
import { GUEST_SCHEMA } from "../guest/document.ts";
import { gatewayDocument } from "../guest/gateway.ts";
import { keyManagerDocument } from "../guest/keymanager.ts";
import { ucmDocument } from "../guest/ucm.ts";
import { kept } from "../resources/kept.ts";
import type { Resources } from "../resources/index.ts";
import { zoneOf } from "../tenants/dns-zones.ts";
import type { AzureSql, TenantSpec } from "../tenants/spec.ts";
import type { SecretReference } from "../vault/reference.ts";
import { asMade } from "./as-made.ts";
import { machineBeside, servicesBeside } from "./beside.ts";
import { askedOf, type GatewayCertificate, knownByCertificate, proven, shownBy } from "./certificate.ts";
import { type IqSuiteGround, iqSuiteSettings, namesApplications } from "./iq-suite.ts";
import type { MailRoute, MailRouteQuestion } from "./mail-route.ts";
import type { Target } from "./target.ts";

/** What stands before the branches begin: everything they need of each other, so that none waits for another. */
export interface Ground {
  loopGuid: SecretReference;
  /** While it is being replaced: the other one that rules accept as well. */
  otherLoopGuid?: SecretReference | undefined;
  adminPassword: SecretReference;
  identityId: string;
  identityClientId: string;
  /** In the order of the names. */
  regions: RegionGround[];
  /** Where the spec asks for one of its own. */
  certificate?: GatewayCertificate | undefined;
  /** Where the gateways' documents name them: then they are there before the machines. */
  applications?: Applications | undefined;
  /** Secrets of the tenant's vault that the spec names, by their names. */
  namedSecrets?: Record<string, SecretReference> | undefined;
}

/** Client id and object id of an application in the customer's Entra tenant. */
export interface Application {
  appId: string;
  objectId: string;
}

/** The WebClient's, and those beside it that the spec asks for. */
export interface Applications extends Application {
  powerShell?: Application | undefined;
  exchangeWebServices?: Application | undefined;
}

export interface RegionGround {
  /** Where two machines or more stand behind one. */
  loadBalancer?: Address | undefined;
  machines: Address[];
  /** Where the region's machines write while they start, where the spec asks for an account. */
  diagnosticsUrl?: string | undefined;
  /** What guards its network, where that stood before the network. */
  guards?: Guards | undefined;
}

/** Ids of network security groups: of each machine's interface, and of the subnet. */
export interface Guards {
  machine: string;
  subnet: string;
}

/** A static public address. */
export interface Address {
  id: string;
  ipAddress: string;
  fqdn: string;
  /** Where they aren't those that the machine's names began with. */
  names?: AddressNames;
}

/** Where Exchange Online delivers to: the load balancer where there is one. */
export const smartHosts = ({ regions }: Pick<Ground, "regions">): string[] =>
  regions.flatMap(({ loadBalancer, machines }) => (loadBalancer ? [loadBalancer] : machines).map(({ fqdn }) => fqdn));

/** The addresses that mail leaves from: each machine has its own, behind a load balancer too (mission A11). */
export const egressIps = ({ regions }: Pick<Ground, "regions">): string[] =>
  regions.flatMap(({ machines }) => machines.map(({ ipAddress }) => ipAddress));

/** What a probe mail proves: that this mailbox's mail leaves by the connector, meets the gateway, and comes back with the header. */
export interface Loop {
  organization: string;
  probeMailbox: string;
  outboundConnector: string;
  loopHeader: string;
  loopGuid: SecretReference;
  vaultTenantId: string;
  /** Names under which Exchange Online reaches the gateways. */
  smartHosts: string[];
  egressIps: string[];
  certificate?: Pick<GatewayCertificate, "name" | "thumbprint">;
  pilots: string[];
  /** Mail to the probe mailbox and the pilot meets the gateway, too. */
  incoming?: boolean;
  /** Those of the pilots that are groups. */
  groups?: string[];
  /** Marked mails in each direction are part of the proof. */
  canary?: boolean;
}

export type Desired<Kind extends keyof Resources> = DesiredOf<Resources[Kind]>;

/** Header that the gateway adds to each mail it has handled (manual, chapter 4.1; mission B5). */
export const LOOP_HEADER = "X-iqsuite-process";
const ADDRESS_PREFIX = "10.20.0.0/24";
const SUBNET_PREFIX = "10.20.0.0/26";
const ADMIN_USERNAME = "gatehouse";

/** A machine of the tenant and the region that it is in. */
export interface MachinePlace {
  region: RegionNames;
  machine: MachineNames;
}

const placeIn = (
  { work: { partnerId, tenantId }, spec }: Target,
  { region, resourceGroup }: Pick<RegionNames, "region" | "resourceGroup">,
) => ({
  owner: { partnerId, tenantId },
  entraTenantId: spec.azure.tenantId,
  subscriptionId: spec.azure.subscriptionId,
  resourceGroup,
  region,
});

/** Where the tenant has what it has once. */
export const home = (target: Target) => placeIn(target, target.names.home);
export const organization = ({ spec }: Target): string => spec.microsoft365.tenantId;
export const mainDomain = ({ spec }: Pick<Target, "spec">): string => spec.microsoft365.domains[0] ?? "";

/** Mission B3, B4. */
export const mailRouteWanted = ({ spec }: Pick<Target, "spec">): MailRouteQuestion => ({
  organization: spec.microsoft365.tenantId,
  domain: mainDomain({ spec }),
  ...(spec.gateway.relayDomains === "accepted" ? { acceptedDomains: true } : {}),
});

export const resourceGroup = (target: Target, region: Pick<RegionNames, "region" | "resourceGroup">): Desired<"resourceGroup"> =>
  placeIn(target, region);
export const vmIdentity = (target: Target): Desired<"vmIdentity"> => ({ ...home(target), name: target.names.vmIdentity });
export const vault = (target: Target): Desired<"vault"> => ({ ...home(target), name: target.names.vault });

export const vaultAccess = (
  target: Target,
  scope: string,
  principalId: string,
  role: Desired<"roleAssignment">["role"],
): Desired<"roleAssignment"> => {
  const { owner, entraTenantId, subscriptionId } = home(target);
  return { owner, entraTenantId, subscriptionId, scope, principalId, role };
};

/** Mission A5, A6: a static address with a DNS label, from which the gateway's name follows. */
export const machineAddress = (target: Target, { region, machine }: MachinePlace): Desired<"publicIpAddress"> => ({
  ...placeIn(target, region),
  name: machine.publicIpAddress,
  dnsLabel: machine.dnsLabel,
  ...asMade(target, "publicIpAddress", machine.publicIpAddress),
});

/** Mission A11: the load balancer's own address and label. */
export const loadBalancerAddress = (target: Target, region: RegionNames): Desired<"publicIpAddress"> => ({
  ...placeIn(target, region),
  name: region.loadBalancerAddress,
  dnsLabel: region.loadBalancerLabel,
});

/** Mission A2: exactly the services that the spec names. */
export const networkSecurityGroup = (target: Target, region: RegionNames): Desired<"networkSecurityGroup"> => ({
  ...placeIn(target, region),
  name: region.networkSecurityGroup,
  services: target.spec.gateway.services,
});

/**
 * A subnet's group stands before each machine's own, so it has to let in whatever any of them does. Undefined where the gateways' own
 * group does: then it is the subnet's, too.
 */
export function subnetSecurityGroup(target: Target, region: RegionNames): Desired<"networkSecurityGroup"> | undefined {
  const others = region.region === target.names.home.region ? servicesBeside(target.spec) : {};
  if (openServices(others).length === 0) return undefined;
  const services = eitherOf(target.spec.gateway.services, others);
  return { ...placeIn(target, region), name: region.subnetSecurityGroup, services };
}

export const virtualNetwork = (
  target: Target,
  region: RegionNames,
  networkSecurityGroupId: string,
): Desired<"virtualNetwork"> => ({
  ...placeIn(target, region),
  name: region.virtualNetwork,
  addressPrefix: ADDRESS_PREFIX,
  subnet: { name: region.subnet, addressPrefix: SUBNET_PREFIX },
  networkSecurityGroupId,
  ...asMade(target, "virtualNetwork", region.virtualNetwork),
});

export const networkInterface = (
  target: Target,
  { region, machine }: MachinePlace,
  network: {
    subnetId: string;
    networkSecurityGroupId: string;
    publicIpAddressId?: string | undefined;
    poolId?: string | undefined;
  },
): Desired<"networkInterface"> => ({ ...placeIn(target, region), name: machine.networkInterface, ...network });

/** The same, apart from its load balancer; what the region has is told by its names. */
export const unbalancedInterface = (target: Target, { region, machine }: MachinePlace): Desired<"networkInterface"> => {
  const { subscriptionId, resourceGroup } = placeIn(target, region);
  const { id: leavesLoadBalancerId } = loadBalancer(target, region, "");
  const network = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Network`;
  return {
    ...placeIn(target, region),
    name: machine.networkInterface,
    subnetId: `${network}/virtualNetworks/${region.virtualNetwork}/subnets/${region.subnet}`,
    networkSecurityGroupId: `${network}/networkSecurityGroups/${region.networkSecurityGroup}`,
    publicIpAddressId: `${network}/publicIPAddresses/${machine.publicIpAddress}`,
    leavesLoadBalancerId,
  };
};

/** Behind its load balancer again. */
export function balancedInterface(target: Target, place: MachinePlace): Desired<"networkInterface"> {
  const { leavesLoadBalancerId = "", ...network } = unbalancedInterface(target, place);
  return { ...network, poolId: backendPoolIn(leavesLoadBalancerId) };
}

/** A machine beside the gateways, in the home region. */
export const roleOf = ({ names: { roles, regions, home } }: Pick<Target, "names">, role: MachineRole): RolePlace => {
  const [machine, region] = [roles?.[role], regions.find((one) => one.region === home.region)];
  if (!machine || !region) throw new Error(`the tenant has no machine ${role}, or no region ${home.region} for it`);
  return { region, machine };
};

export interface RolePlace {
  region: RegionNames;
  machine: RoleNames;
}

/** Its own, so that it can't read the gateways' secrets. */
export const roleIdentity = (target: Target, { region, machine }: RolePlace): Desired<"vmIdentity"> => ({
  ...placeIn(target, region),
  name: machine.vmIdentity,
});

/** Mission A8: Azure's own rules let the network in; the internet only where the spec names the service. */
export const roleSecurityGroup = (target: Target, role: MachineRole): Desired<"networkSecurityGroup"> => {
  const { region, machine } = roleOf(target, role);
  return {
    ...placeIn(target, region),
    name: machine.networkSecurityGroup,
    services: machineBeside(target.spec, role).services,
  };
};

/** A size and a place that a machine may have. */
export interface Candidate {
  size: string;
  zone?: string | undefined;
}

interface MachineChoice extends Candidate {
  availabilitySetId?: string | undefined;
  diagnosticsUrl?: string | undefined;
  /** The gateways' where it is left out. */
  image?: Desired<"gatewayVm">["image"] | undefined;
}

/** Mission A3: where the region has no zones. */
export const availabilitySet = (target: Target, region: RegionNames): Desired<"availabilitySet"> => ({
  ...placeIn(target, region),
  name: region.availabilitySet,
  ...asMade(target, "availabilitySet", region.availabilitySet),
});

/** Mission A11. */
export const loadBalancer = (target: Target, region: RegionNames, publicIpAddressId: string): Desired<"loadBalancer"> => {
  const place = placeIn(target, region);
  const { subscriptionId, resourceGroup } = place;
  const id = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Network/loadBalancers/${region.loadBalancer}`;
  return { ...place, name: region.loadBalancer, id, publicIpAddressId, services: target.spec.gateway.services };
};

/** The image that machines are made of; only one that is bought has a plan. */
function imageOf({ spec }: Target): Pick<Desired<"gatewayVm">, "image" | "plan"> {
  const { publisher, offer, sku, version, plan } = spec.gateway.image;
  return { image: { publisher, offer, sku, version }, ...(plan === undefined ? {} : { plan }) };
}

/** Mission A10: none where the image isn't bought, or where the spec leaves the terms to somebody else. */
export function marketplaceTerms(target: Target): Desired<"marketplaceTerms"> | undefined {
  const { plan, acceptTerms } = target.spec.gateway.image;
  if (plan === undefined || acceptTerms !== true) return undefined;
  const { owner, entraTenantId, subscriptionId } = home(target);
  return { owner, entraTenantId, subscriptionId, plan };
}

export const gatewayVm = (
  target: Target,
  { region, machine }: MachinePlace,
  { size, zone, availabilitySetId, image, diagnosticsUrl }: MachineChoice,
  networkInterfaceId: string,
  { identityId, adminPassword }: Pick<Ground, "identityId" | "adminPassword">,
): Desired<"gatewayVm"> => ({
  ...placeIn(target, region),
  name: machine.virtualMachine,
  computerName: machine.computerName,
  size,
  zone,
  availabilitySetId,
  disk: target.spec.gateway.disk,
  ...(image === undefined ? imageOf(target) : { image }),
  networkInterfaceId,
  identityId,
  ...(diagnosticsUrl === undefined ? {} : { diagnosticsUrl }),
  adminUsername: ADMIN_USERNAME,
  adminPassword,
  ...asMade(target, "gatewayVm", machine.virtualMachine),
});

/** Mission A4: one in each region, where the spec asks for it. */
export function diagnosticsAccount(target: Target, region: RegionNames): Desired<"diagnosticsAccount"> | undefined {
  const { diagnostics } = target.spec.gateway;
  return diagnostics && { ...placeIn(target, region), name: region.diagnosticsAccount, replication: diagnostics.replication };
}

/** Mission A7: what the tenant's machines report, where the spec names a workspace. One rule serves all regions. */
export function dataCollectionRule(target: Target): Desired<"dataCollectionRule"> | undefined {
  const { monitoring } = target.spec.gateway;
  return monitoring && { ...home(target), name: target.names.dataCollectionRule, workspaceId: monitoring.workspaceId };
}

export const monitorAgent = (
  target: Target,
  { region, machine }: MachinePlace,
  { identityId }: Pick<Ground, "identityId">,
): Desired<"monitorAgent"> => ({ ...placeIn(target, region), virtualMachine: machine.virtualMachine, identityId });

export const dataCollectionAssociation = (
  target: Target,
  { region, machine }: MachinePlace,
): Desired<"dataCollectionAssociation"> => {
  const { owner, entraTenantId, subscriptionId, resourceGroup } = placeIn(target, region);
  const { resourceGroup: home } = target.names.home;
  return {
    owner,
    entraTenantId,
    subscriptionId,
    name: target.names.dataCollectionAssociation,
    machineId: virtualMachineId({ subscriptionId, resourceGroup, name: machine.virtualMachine }),
    ruleId: `/subscriptions/${subscriptionId}/resourceGroups/${home}/providers/Microsoft.Insights/dataCollectionRules/${target.names.dataCollectionRule}`,
  };
};

/** Mission A11: the load balancer's own. */
export function diagnosticSetting(target: Target, region: RegionNames): Desired<"diagnosticSetting"> | undefined {
  const { monitoring } = target.spec.gateway;
  if (!monitoring) return undefined;
  const { entraTenantId, subscriptionId, resourceGroup } = placeIn(target, region);
  return {
    entraTenantId,
    subscriptionId,
    name: target.names.diagnosticSetting,
    resourceId: `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Network/loadBalancers/${region.loadBalancer}`,
    workspaceId: monitoring.workspaceId,
  };
}

/** Grows with each change of what the guest is to hold; the machine refuses a lower one, so that a late worker undoes nothing. */
export interface GuestGeneration {
  generation: number;
  clientSecret?: SecretReference | undefined;
  exchangeWebServicesSecret?: SecretReference | undefined;
  /** Thumbprint of the certificate that was shown before, while machines keep it. */
  keptCertificate?: string | undefined;
  /** Where machines report, and for whom their tokens are; without it they don't. */
  agents?: Agents | undefined;
}

export interface Agents {
  publicUrl: string;
  apiVersion: string;
  audience: string;
}

export const FIRST_GENERATION: GuestGeneration = { generation: 1 };

/** Mission B2, B3, B5: firewall, SMTP server and loop header, in one document. */
export const guest = (
  target: Target,
  { region, machine }: MachinePlace,
  fqdn: string,
  ground: Pick<Ground, "loopGuid" | "identityClientId" | "certificate"> & IqSuiteGround,
  { smartHost, relayFrom, domains = [] }: MailRoute,
  { generation, clientSecret, exchangeWebServicesSecret, keptCertificate, agents }: GuestGeneration = FIRST_GENERATION,
): Desired<"guest"> => {
  const { file } = target.spec.directory ?? {};
  return {
    ...windowsOf(target, { region, machine }, ground),
    document: gatewayDocument({
      generation,
      clientSecret,
      fqdn,
      smartHost,
      relayFrom,
      domains: [...new Set([...target.spec.microsoft365.domains, ...domains])],
      loopHeader: LOOP_HEADER,
      loopGuid: ground.loopGuid,
      services: target.spec.gateway.services,
      ...shownBy(ground, keptCertificate),
      ...iqSuiteSettings(target.spec, ground, machine, { clientSecret, exchangeWebServicesSecret }),
      heartbeat: agents && {
        ...agentSettings(target, machine, ground, agents, "heartbeat"),
        fqdn: ground.certificate?.name ?? fqdn,
        // A mailbox that is there: Exchange Online refuses others whatever it thinks of the sender's address.
        probe: { host: smartHost, recipient: target.spec.microsoft365.probeMailbox },
        services: ["SMTPSVC"],
      },
      directory:
        agents && file !== undefined ? { ...agentSettings(target, machine, ground, agents, "directory"), file } : undefined,
    }),
  };
};

/** Windows inside a gateway's machine, whatever it is to look like. */
export const windowsOf = (
  target: Target,
  { region, machine }: MachinePlace,
  { identityClientId }: Pick<Ground, "identityClientId">,
): Omit<Desired<"guest">, "document"> => ({
  ...placeIn(target, region),
  virtualMachine: machine.virtualMachine,
  identityClientId,
});

/** Of a password: its generation, and what takes its place where. */
export interface PasswordChange {
  generation: number;
  secret: SecretReference;
  earlier: SecretReference[];
  /** Also where somebody else has changed it. */
  reset?: true;
}

/** The password of the administrator that the machine was made with; beside its own document, which this one leaves as it is. */
export const administratorPassword = (
  target: Target,
  { region, machine }: MachinePlace,
  { identityClientId }: Pick<Ground, "identityClientId">,
  { generation, ...change }: PasswordChange,
): Desired<"guest"> => ({
  ...windowsOf(target, { region, machine }, { identityClientId }),
  document: {
    schema: GUEST_SCHEMA,
    generation,
    beside: "passwords",
    passwords: [{ account: administratorOf(target, machine), ...change }],
  },
});

const administratorOf = (target: Target, { virtualMachine }: MachineNames): string =>
  kept(asMade(target, "gatewayVm", virtualMachine), "adminUsername", ADMIN_USERNAME);

/** Mission B6: the login that SQL Server's own set-up makes. */
export const sqlAdministratorPassword = (
  target: Target,
  { region, machine }: MachinePlace,
  { identityClientId }: Pick<Ground, "identityClientId">,
  { generation, secret }: Pick<PasswordChange, "generation" | "secret">,
): Desired<"guest"> => {
  const { instance = "." } = target.spec.gateway.iqSuite?.automatedSetUp?.sqlServer ?? {};
  return {
    ...placeIn(target, region),
    virtualMachine: machine.virtualMachine,
    identityClientId,
    document: { schema: GUEST_SCHEMA, generation, beside: "logins", logins: [{ server: instance, login: "sa", secret }] },
  };
};

/** One of our own doors, as the machine reaches it with its own identity. */
const agentSettings = (
  { work: { partnerId, tenantId } }: Target,
  { virtualMachine }: MachineNames,
  { identityClientId }: Pick<Ground, "identityClientId">,
  { publicUrl, apiVersion, audience }: Agents,
  door: "heartbeat" | "directory",
): { url: string; audience: string; identityClientId: string } => ({
  url: `${publicUrl}/api/agents/${vmIdOf(partnerId, gatewayIdOf(tenantId, virtualMachine))}/${door}?api-version=${apiVersion}`,
  audience,
  identityClientId,
});

/** Mission A8, B2. */
export const keyManagerGuest = (target: Target, { region, machine }: RolePlace, identityClientId: string): Desired<"guest"> => ({
  ...placeIn(target, region),
  virtualMachine: machine.virtualMachine,
  identityClientId,
  document: keyManagerDocument({
    generation: FIRST_GENERATION.generation,
    services: target.spec.gateway.keyManager?.services ?? {},
  }),
});

/** Mission E7 to E9. Windows refuses a document whole while it doesn't know the account: then all but E7 can be set. */
export const ucmGuest = (target: Target, identityClientId: string, account: "known" | "unknown"): Desired<"guest"> => {
  const { ucm } = target.spec;
  if (ucm === undefined) throw new Error("the spec has no UCM server");
  const { region, machine } = roleOf(target, "ucm");
  const { groups, rights, ...others } = ucmDocument({
    generation: FIRST_GENERATION.generation,
    account: ucm.serviceAccount,
    subnet: SUBNET_PREFIX,
    webAdminSources: ucm.services.http?.sources,
    controllers: ucm.controllers,
  });
  return {
    ...placeIn(target, region),
    virtualMachine: machine.virtualMachine,
    identityClientId,
    document: account === "known" ? { ...others, groups, rights } : others,
  };
};

/** Where the spec asks for Azure SQL: what it says of it. */
export const azureSqlOf = ({ database }: Pick<TenantSpec, "database">): AzureSql | undefined =>
  database?.kind === "azureSql" ? database : undefined;

/** Mission A9: at home, beside the vault. */
export const sqlServer = (target: Target, { administrator }: AzureSql): Desired<"sqlServer"> => ({
  ...home(target),
  name: target.names.sqlServer,
  administrator,
});

/** Each gateway, by the address that it leaves from. */
export const sqlFirewallRules = (target: Target, ground: Pick<Ground, "regions">): Desired<"sqlFirewallRules"> => ({
  ...home(target),
  server: target.names.sqlServer,
  addresses: egressIps(ground),
});

export const sqlDatabase = (target: Target, name: string, { sku, backups }: AzureSql): Desired<"sqlDatabase"> => ({
  ...home(target),
  server: target.names.sqlServer,
  name,
  sku,
  backups,
});

/** Whether what stands in the machines names applications. Mission F10: then these come first. */
export const documentsNameApplications = (spec: TenantSpec): boolean =>
  spec.microsoft365.powerShellApplication === true || spec.gateway.exchangeWebServices !== undefined || namesApplications(spec);

/** Mission D1: the product wants the trailing slash in its redirect URI. */
export const webClientApplication = (target: Target, ground: Pick<Ground, "regions">): Desired<"webClientApplication"> => ({
  ...applicationOf(target, target.names.webClientUniqueName, "iQ.Suite WebClient"),
  redirectUris: [
    ...smartHosts(ground).map((host) => `https://${host}/webclient/`),
    ...(target.spec.microsoft365.webClient?.urls ?? []),
  ],
  ...(target.spec.microsoft365.webClient?.thumbnails === true ? { thumbnails: true } : {}),
});

/** Mission D2: after the WebClient's, whose scope it asks for; undefined where the spec doesn't ask for it. */
export const powerShellApplication = (
  target: Target,
  { appId: webClientId }: Application,
): Desired<"powerShellApplication"> | undefined =>
  target.spec.microsoft365.powerShellApplication === true
    ? { ...applicationOf(target, target.names.powerShellUniqueName, "iQ.Suite PowerShell"), webClientId }
    : undefined;

/** Mission D3: undefined where the spec doesn't ask for it. */
export function exchangeWebServicesApplication(target: Target): Desired<"exchangeWebServicesApplication"> | undefined {
  const { exchangeWebServices: wanted } = target.spec.gateway;
  return (
    wanted && {
      ...applicationOf(target, target.names.exchangeWebServicesUniqueName, "iQ.Suite Exchange Web Services"),
      access: wanted.access === "group" ? "scoped" : "allMailboxes",
    }
  );
}

/** Where the spec names a group: undefined where it doesn't, since the application itself may then reach all mailboxes. */
export function mailboxAccess(target: Target, { appId, servicePrincipalId }: Reader): Desired<"mailboxAccess"> | undefined {
  const { exchangeWebServices: wanted } = target.spec.gateway;
  if (wanted?.access !== "group") return undefined;
  const name = target.names.exchangeWebServicesUniqueName;
  const role = "Application EWS.AccessAsApp";
  return { ...mailFlow(target), name, appId, servicePrincipalId: servicePrincipalId ?? "", role, group: wanted.group };
}

export const exchangeWebServicesPolicy = (target: Target, { appId }: Reader): Desired<"exchangeWebServicesPolicy"> => ({
  ...mailFlow(target),
  appId,
});

interface Reader {
  appId: string;
  servicePrincipalId: string | null;
}

const applicationOf = (target: Target, uniqueName: string, product: string) => ({
  owner: home(target).owner,
  organization: organization(target),
  uniqueName,
  displayName: `${product} (${target.spec.displayName})`,
});

const mailFlow = (target: Target) => ({ owner: home(target).owner, organization: organization(target) });
const marked = (target: Target, { loopGuid, otherLoopGuid }: Marks) => ({
  ...mailFlow(target),
  loopHeader: LOOP_HEADER,
  loopGuid,
  ...(otherLoopGuid === undefined ? {} : { otherLoopGuid }),
  vaultTenantId: target.spec.azure.tenantId,
});
type Marks = Pick<Ground, "loopGuid" | "otherLoopGuid">;
type Addresses = Pick<Ground, "regions">;
type MailServers = Pick<Ground, "regions" | "certificate">;

/** Mission C1. */
export const inboundConnector = (target: Target, ground: MailServers): Desired<"inboundConnector"> =>
  inboundConnectors(target, ground)[knownByCertificate(ground) ? "byCertificate" : "byAddress"];

/** The form that the gateway isn't known by; it goes when mail has come back by the other one. */
export const otherInboundConnector = (target: Target, ground: MailServers): Desired<"inboundConnector"> =>
  inboundConnectors(target, ground)[knownByCertificate(ground) ? "byAddress" : "byCertificate"];

/** While mail comes back by it, whatever the gateway is to be known by. */
export const inboundConnectorByAddress = (target: Target, ground: MailServers): Desired<"inboundConnector"> =>
  inboundConnectors(target, ground).byAddress;

const inboundConnectors = (
  target: Target,
  ground: MailServers,
): Record<"byAddress" | "byCertificate", Desired<"inboundConnector">> => ({
  byAddress: { ...mailFlow(target), egressIps: egressIps(ground), ...asMade(target, "inboundConnector") },
  byCertificate: {
    ...mailFlow(target),
    certificateName: ground.certificate?.name ?? "",
    ...(target.otherCertificate && { beside: target.otherCertificate.name }),
  },
});

/** By which Exchange Online knows the gateways, too, or knew them, where that is another one. */
export function besideConnector(target: Target, ground: MailServers): Desired<"inboundConnector"> | undefined {
  const { certificate } = ground;
  const { otherCertificate: other } = target;
  if (certificate === undefined || other === undefined) return undefined;
  const enabled = other.state === "accepted";
  if (knownByCertificate({ certificate: other }))
    return { ...mailFlow(target), certificateName: other.name, beside: certificate.name, enabled };
  return knownByCertificate(ground) ? { ...inboundConnectors(target, ground).byAddress, enabled } : undefined;
}
/** Mission C2. */
export const outboundConnector = (target: Target, ground: MailServers): Desired<"outboundConnector"> => ({
  ...mailFlow(target),
  smartHosts: smartHosts(ground),
  ...askedOf(target, ground),
  ...asMade(target, "outboundConnector"),
});
/** Mission C7. */
export const connectionFilter = (target: Target, ground: Addresses): Desired<"connectionFilter"> => ({
  ...mailFlow(target),
  egressIps: egressIps(ground),
});
/** Mission C3, C11. */
export const guardRule = (target: Target, ground: Addresses): Desired<"guardRule"> => ({
  ...mailFlow(target),
  loopHeader: LOOP_HEADER,
  egressIps: egressIps(ground),
});
/** Mission F5. `probe`: the probe mailbox's mail takes the way through the gateway already, everybody else's goes round it still. */
export const bypassRule = (target: Target, ground: Addresses, spared: "nobody" | "probe" = "nobody"): Desired<"bypassRule"> => ({
  ...mailFlow(target),
  loopHeader: LOOP_HEADER,
  egressIps: egressIps(ground),
  spared: spared === "probe" ? [target.spec.microsoft365.probeMailbox] : [],
});
/** Mission C11. */
export const stripRule = (target: Target): Desired<"stripRule"> => ({ ...mailFlow(target), loopHeader: LOOP_HEADER });
/** Mission C4. */
export const approvalRule = (target: Target, ground: Addresses & Marks): Desired<"approvalRule"> => ({
  ...marked(target, ground),
  egressIps: egressIps(ground),
  ...asMade(target, "approvalRule"),
});

/** Mission C6: one for each domain whose zone the spec lets us write. `earlier`: what becomes of addresses that were listed before. */
export const spfRecords = (target: Target, ground: Addresses, earlier: "stay" | "go"): Desired<"spfRecord">[] => {
  const { owner, entraTenantId } = home(target);
  const zones = target.spec.spf?.zones ?? [];
  return target.spec.microsoft365.domains.flatMap((domain) => {
    const zoneId = zoneOf(zones, domain);
    return zoneId === undefined ? [] : [{ owner, entraTenantId, zoneId, domain, addresses: egressIps(ground), earlier }];
  });
};

type Forwarded = Addresses & Marks;
const forwardingTo = (target: Target, ground: Forwarded, mailboxes: string[]): Desired<"forwardingRule"> => ({
  ...marked(target, ground),
  outboundConnector: outboundConnectorName(target),
  egressIps: egressIps(ground),
  ...target.spec.forwarding,
  scope: { mailboxes },
});

/** Mission C3, C5: whose mail runs through the gateway. The probe mailbox stays in every scope, so that the loop can be proven again. */
export const forwardingRule = (target: Target, ground: Forwarded, scope: "probe" | "pilot"): Desired<"forwardingRule"> => ({
  ...forwardingTo(target, ground, mailboxesIn(target, scope)),
  ...asMade(target, "forwardingRule"),
});

function mailboxesIn({ spec: { microsoft365, pilot } }: Target, scope: "probe" | "pilot"): string[] {
  const { probeMailbox } = microsoft365;
  return scope === "probe" ? [probeMailbox] : [...new Set([probeMailbox, ...pilot.addresses])];
}
/** The same for mail to them, where the spec asks for it. */
export const incomingForwardingRule = (
  target: Target,
  ground: Forwarded,
  scope: "probe" | "pilot",
): Desired<"incomingForwardingRule"> | undefined =>
  target.spec.pilot.incoming === true ? forwardingTo(target, ground, mailboxesIn(target, scope)) : undefined;
/** Whoever is a member: there is no probe among them, so the rule comes after the proof. */
export const groupForwardingRule = (target: Target, ground: Forwarded): Desired<"groupForwardingRule"> | undefined => {
  const { groups } = target.spec.pilot;
  return groups && forwardingTo(target, ground, groups);
};
export const incomingGroupForwardingRule = (
  target: Target,
  ground: Forwarded,
): Desired<"incomingGroupForwardingRule"> | undefined =>
  target.spec.pilot.incoming === true ? groupForwardingRule(target, ground) : undefined;

/** Stage `live`: everybody in the tenant's domains, in the directions that the pilot has proven. */
export const domainForwardingRule = (target: Target, ground: Forwarded): Desired<"domainForwardingRule"> =>
  forwardingTo(target, ground, target.spec.microsoft365.domains);
export const incomingDomainForwardingRule = (
  target: Target,
  ground: Forwarded,
): Desired<"incomingDomainForwardingRule"> | undefined =>
  target.spec.pilot.incoming === true ? domainForwardingRule(target, ground) : undefined;

/** Manual, chapter 4.4.2. */
const OUTBOUND_CONNECTOR = "M365 to Azure VM";
export const outboundConnectorName = (target: Pick<Target, "names">): string =>
  kept(asMade(target, "outboundConnector"), "name", OUTBOUND_CONNECTOR);

export const loop = (target: Target, ground: Pick<Ground, "loopGuid" | "regions" | "certificate">): Loop => ({
  organization: organization(target),
  probeMailbox: target.spec.microsoft365.probeMailbox,
  outboundConnector: outboundConnectorName(target),
  loopHeader: LOOP_HEADER,
  loopGuid: ground.loopGuid,
  vaultTenantId: target.spec.azure.tenantId,
  smartHosts: smartHosts(ground),
  egressIps: egressIps(ground),
  ...proven(ground),
  pilots: [...target.spec.pilot.addresses, ...(target.spec.pilot.groups ?? [])],
  ...(target.spec.pilot.incoming === true ? { incoming: true } : {}),
  ...(target.spec.canary === true ? { canary: true } : {}),
  ...(target.spec.pilot.groups === undefined ? {} : { groups: target.spec.pilot.groups }),
});
