/** From a tenant's spec to the desired state of each resource: pure, so that plan, onboarding and later drift mean the same thing. */
import { gatewayIdOf } from "../api/gateway-id.ts";
import { vmIdOf } from "../api/heartbeat.ts";
import type { DesiredOf } from "../durable/resources.ts";
import { gatewayDocument } from "../guest/gateway.ts";
import type { Resources } from "../resources/index.ts";
import type { SecretReference } from "../vault/reference.ts";
import type { MailRoute } from "./mail-route.ts";
import type { Target } from "./target.ts";

/** What stands before the branches begin: everything they need of each other, so that none waits for another. */
export interface Ground {
  loopGuid: SecretReference;
  adminPassword: SecretReference;
  identityId: string;
  identityClientId: string;
  /** Where Exchange Online delivers to; with a load balancer these are not the addresses that mail leaves from. */
  smartHosts: string[];
  egressIps: string[];
  publicIpAddressId: string;
  fqdn: string;
}

/** What a probe mail proves: that this mailbox's mail leaves by the connector, meets the gateway, and comes back with the header. */
export interface Loop {
  organization: string;
  probeMailbox: string;
  outboundConnector: string;
  loopHeader: string;
  loopGuid: SecretReference;
  vaultTenantId: string;
  fqdn: string;
  egressIps: string[];
  pilots: string[];
}

type Desired<Kind extends keyof Resources> = DesiredOf<Resources[Kind]>;

/** Header that the gateway adds to each mail it has handled (manual, chapter 4.1; mission B5). */
export const LOOP_HEADER = "X-iqsuite-process";
const ADDRESS_PREFIX = "10.20.0.0/24";
const SUBNET_PREFIX = "10.20.0.0/26";
const ADMIN_USERNAME = "gatehouse";

export const place = ({ work: { partnerId, tenantId }, spec, names }: Target) => ({
  owner: { partnerId, tenantId },
  entraTenantId: spec.azure.tenantId,
  subscriptionId: spec.azure.subscriptionId,
  resourceGroup: names.resourceGroup,
  region: spec.gateway.region,
});

export const organization = ({ spec }: Target): string => spec.microsoft365.tenantId;
export const mainDomain = ({ spec }: Target): string => spec.microsoft365.domains[0] ?? "";

export const resourceGroup = (target: Target): Desired<"resourceGroup"> => place(target);
export const vmIdentity = (target: Target): Desired<"vmIdentity"> => ({ ...place(target), name: target.names.vmIdentity });
export const vault = (target: Target): Desired<"vault"> => ({ ...place(target), name: target.names.vault });

export const vaultAccess = (
  target: Target,
  scope: string,
  principalId: string,
  role: Desired<"roleAssignment">["role"],
): Desired<"roleAssignment"> => {
  const { owner, entraTenantId, subscriptionId } = place(target);
  return { owner, entraTenantId, subscriptionId, scope, principalId, role };
};

/** Mission A5, A6: a static address with a DNS label, from which the gateway's name follows. */
export const publicIpAddress = (target: Target): Desired<"publicIpAddress"> => ({
  ...place(target),
  name: target.names.publicIpAddress,
  dnsLabel: target.names.dnsLabel,
});

/** Mission A2: exactly the services that the spec names. */
export const networkSecurityGroup = (target: Target): Desired<"networkSecurityGroup"> => ({
  ...place(target),
  name: target.names.networkSecurityGroup,
  services: target.spec.gateway.services,
});

export const virtualNetwork = (target: Target, networkSecurityGroupId: string): Desired<"virtualNetwork"> => ({
  ...place(target),
  name: target.names.virtualNetwork,
  addressPrefix: ADDRESS_PREFIX,
  subnet: { name: target.names.subnet, addressPrefix: SUBNET_PREFIX },
  networkSecurityGroupId,
});

export const networkInterface = (
  target: Target,
  subnetId: string,
  networkSecurityGroupId: string,
  publicIpAddressId: string,
): Desired<"networkInterface"> => ({
  ...place(target),
  name: target.names.networkInterface,
  subnetId,
  networkSecurityGroupId,
  publicIpAddressId,
});

export const gatewayVm = (
  target: Target,
  networkInterfaceId: string,
  { identityId, adminPassword }: Pick<Ground, "identityId" | "adminPassword">,
): Desired<"gatewayVm"> => ({
  ...place(target),
  name: target.names.virtualMachine,
  computerName: target.names.computerName,
  size: target.spec.gateway.size,
  image: target.spec.gateway.image,
  networkInterfaceId,
  identityId,
  adminUsername: ADMIN_USERNAME,
  adminPassword,
});

/** Grows with each change of what the guest is to hold; the machine refuses a lower one, so that a late worker undoes nothing. */
export interface GuestGeneration {
  generation: number;
  clientSecret?: SecretReference | undefined;
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
  { fqdn, loopGuid, identityClientId }: Pick<Ground, "fqdn" | "loopGuid" | "identityClientId">,
  { smartHost, relayFrom }: MailRoute,
  { generation, clientSecret, agents }: GuestGeneration = FIRST_GENERATION,
): Desired<"guest"> => ({
  ...place(target),
  virtualMachine: target.names.virtualMachine,
  identityClientId,
  document: gatewayDocument({
    generation,
    clientSecret,
    fqdn,
    smartHost,
    relayFrom,
    domains: target.spec.microsoft365.domains,
    loopHeader: LOOP_HEADER,
    loopGuid,
    services: target.spec.gateway.services,
    heartbeat: agents && {
      url: `${agents.publicUrl}/api/agents/${vmIdOf(target.work.partnerId, gatewayIdOf(target.work.tenantId, target.names.virtualMachine))}/heartbeat?api-version=${agents.apiVersion}`,
      audience: agents.audience,
      identityClientId,
      fqdn,
      // A mailbox that is there: Exchange Online refuses others whatever it thinks of the sender's address.
      probe: { host: smartHost, recipient: target.spec.microsoft365.probeMailbox },
      services: ["SMTPSVC"],
    },
  }),
});

/** Mission D1: the product wants the trailing slash in its redirect URI. */
export const webClientApplication = (target: Target, { fqdn }: Pick<Ground, "fqdn">): Desired<"webClientApplication"> => ({
  owner: place(target).owner,
  organization: organization(target),
  uniqueName: target.names.webClientUniqueName,
  displayName: `iQ.Suite WebClient (${target.spec.displayName})`,
  redirectUris: [`https://${fqdn}/webclient/`],
});

const mailFlow = (target: Target) => ({ owner: place(target).owner, organization: organization(target) });
const marked = (target: Target, loopGuid: Ground["loopGuid"]) => ({
  ...mailFlow(target),
  loopHeader: LOOP_HEADER,
  loopGuid,
  vaultTenantId: target.spec.azure.tenantId,
});
type Egress = Pick<Ground, "egressIps">;

/** Mission C1. */
export const inboundConnector = (target: Target, { egressIps }: Egress): Desired<"inboundConnector"> => ({
  ...mailFlow(target),
  egressIps,
});
/** Mission C2. */
export const outboundConnector = (target: Target, { smartHosts }: Pick<Ground, "smartHosts">): Desired<"outboundConnector"> => ({
  ...mailFlow(target),
  smartHosts,
});
/** Mission C7. */
export const connectionFilter = (target: Target, { egressIps }: Egress): Desired<"connectionFilter"> => ({
  ...mailFlow(target),
  egressIps,
});
/** Mission C3, C11. */
export const guardRule = (target: Target, { egressIps }: Egress): Desired<"guardRule"> => ({
  ...mailFlow(target),
  loopHeader: LOOP_HEADER,
  egressIps,
});
/** Mission C4. */
export const approvalRule = (
  target: Target,
  { egressIps, loopGuid }: Egress & Pick<Ground, "loopGuid">,
): Desired<"approvalRule"> => ({
  ...marked(target, loopGuid),
  egressIps,
});

/** Mission C3, C5: whose mail runs through the gateway. The probe mailbox stays in every scope, so that the loop can be proven again. */
export const forwardingRule = (
  target: Target,
  { loopGuid }: Pick<Ground, "loopGuid">,
  scope: "probe" | "pilot",
): Desired<"forwardingRule"> => {
  const { probeMailbox } = target.spec.microsoft365;
  const mailboxes = scope === "probe" ? [probeMailbox] : [...new Set([probeMailbox, ...target.spec.pilot.addresses])];
  return { ...marked(target, loopGuid), outboundConnector: OUTBOUND_CONNECTOR, scope: { mailboxes } };
};

/** Manual, chapter 4.4.2. */
export const OUTBOUND_CONNECTOR = "M365 to Azure VM";

export const loop = (target: Target, { loopGuid, fqdn, egressIps }: Pick<Ground, "loopGuid" | "fqdn" | "egressIps">): Loop => ({
  organization: organization(target),
  probeMailbox: target.spec.microsoft365.probeMailbox,
  outboundConnector: OUTBOUND_CONNECTOR,
  loopHeader: LOOP_HEADER,
  loopGuid,
  vaultTenantId: target.spec.azure.tenantId,
  fqdn,
  egressIps,
  pilots: target.spec.pilot.addresses,
});
