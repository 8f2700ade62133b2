/** All resources by kind. The kinds are stable: they stand in operation records and in running histories. */
import type { Azure } from "../azure/client.ts";
import { markInAzure, type Provisioned } from "../azure/owned.ts";
import type { Place } from "../azure/place.ts";
import type { DnsResolver } from "../dns/resolver.ts";
import type { Exchange } from "../exchange/client.ts";
import type { Graph } from "../graph/client.ts";
import type { Certificates } from "../vault/certificates.ts";
import type { Vaults } from "../vault/client.ts";
import { adoptable } from "./adoptable.ts";
import { approvalRule } from "./approval-rule.ts";
import { availabilitySet } from "./availability-set.ts";
import { bypassRule } from "./bypass-rule.ts";
import { connectionFilter } from "./connection-filter.ts";
import { dataCollectionAssociation } from "./data-collection-association.ts";
import { dataCollectionRule } from "./data-collection-rule.ts";
import { diagnosticSetting } from "./diagnostic-setting.ts";
import { exchangePrincipal } from "./exchange-principal.ts";
import { exchangeWebServicesApplication } from "./exchange-web-services-application.ts";
import { exchangeWebServicesPolicy } from "./exchange-web-services-policy.ts";
import {
  domainForwardingRule,
  forwardingRule,
  groupForwardingRule,
  incomingDomainForwardingRule,
  incomingForwardingRule,
  incomingGroupForwardingRule,
} from "./forwarding-rule.ts";
import { gatewayVm } from "./gateway-vm.ts";
import { guardRule } from "./guard-rule.ts";
import { guest } from "./guest.ts";
import { inboundConnector } from "./inbound-connector.ts";
import { loadBalancer } from "./load-balancer.ts";
import { mailboxAccess } from "./mailbox-access.ts";
import { managementRole } from "./management-role.ts";
import { marketplaceTerms } from "./marketplace-terms.ts";
import { monitorAgent } from "./monitor-agent.ts";
import { networkInterface } from "./network-interface.ts";
import { networkSecurityGroup } from "./network-security-group.ts";
import { outboundConnector } from "./outbound-connector.ts";
import { powerShellApplication } from "./power-shell-application.ts";
import { publicIpAddress } from "./public-ip-address.ts";
import type { Resource } from "./resource.ts";
import { resourceGroup } from "./resource-group.ts";
import { roleGroup } from "./role-group.ts";
import { roleAssignment } from "./role-assignment.ts";
import { spfRecord } from "./spf-record.ts";
import { sqlDatabase } from "./sql-database.ts";
import { sqlFirewallRules } from "./sql-firewall-rules.ts";
import { sqlServer } from "./sql-server.ts";
import { diagnosticsAccount } from "./diagnostics-account.ts";
import { tlsCertificate } from "./tls-certificate.ts";
import { vault } from "./vault.ts";
import { stripRule } from "./strip-rule.ts";
import { virtualNetwork } from "./virtual-network.ts";
import { vmIdentity } from "./vm-identity.ts";
import { webClientApplication } from "./web-client-application.ts";

export interface ResourceClients {
  azure: Azure;
  vaults: Vaults;
  exchange: Exchange;
  graph: Graph;
  resolver: DnsResolver;
  certificates: Certificates;
}

export type Resources = ReturnType<typeof createResources>;

/** Of the manual's kinds: a person may have made one. */
const byHand =
  (azure: Azure) =>
  <Desired extends Place, Actual extends Provisioned & { id: string }>(resource: Resource<Desired, Actual>) =>
    adoptable(resource, markInAzure(azure));

export const createResources = ({ azure, vaults, exchange, graph, resolver, certificates }: ResourceClients) => ({
  resourceGroup: byHand(azure)(resourceGroup({ azure })),
  marketplaceTerms: marketplaceTerms({ azure }),
  vmIdentity: vmIdentity({ azure }),
  vault: vault({ azure }),
  roleAssignment: roleAssignment({ azure }),
  tlsCertificate: tlsCertificate({ certificates }),
  publicIpAddress: byHand(azure)(publicIpAddress({ azure })),
  networkSecurityGroup: byHand(azure)(networkSecurityGroup({ azure })),
  virtualNetwork: byHand(azure)(virtualNetwork({ azure })),
  availabilitySet: byHand(azure)(availabilitySet({ azure })),
  loadBalancer: loadBalancer({ azure }),
  networkInterface: byHand(azure)(networkInterface({ azure })),
  gatewayVm: byHand(azure)(gatewayVm({ azure, vaults })),
  guest: guest({ azure }),
  dataCollectionRule: dataCollectionRule({ azure }),
  monitorAgent: monitorAgent({ azure }),
  dataCollectionAssociation: dataCollectionAssociation({ azure }),
  diagnosticSetting: diagnosticSetting({ azure }),
  sqlServer: sqlServer({ azure }),
  diagnosticsAccount: diagnosticsAccount({ azure }),
  sqlFirewallRules: sqlFirewallRules({ azure }),
  sqlDatabase: sqlDatabase({ azure }),
  spfRecord: spfRecord({ azure, resolver }),
  webClientApplication: webClientApplication({ graph }),
  powerShellApplication: powerShellApplication({ graph }),
  exchangeWebServicesApplication: exchangeWebServicesApplication({ graph }),
  mailboxAccess: mailboxAccess({ exchange }),
  exchangeWebServicesPolicy: exchangeWebServicesPolicy({ exchange }),
  inboundConnector: inboundConnector({ exchange }),
  exchangePrincipal: exchangePrincipal({ exchange }),
  managementRole: managementRole({ exchange }),
  roleGroup: roleGroup({ exchange }),
  outboundConnector: outboundConnector({ exchange }),
  connectionFilter: connectionFilter({ exchange }),
  guardRule: guardRule({ exchange }),
  bypassRule: bypassRule({ exchange }),
  approvalRule: approvalRule({ exchange, vaults }),
  forwardingRule: forwardingRule({ exchange, vaults }),
  groupForwardingRule: groupForwardingRule({ exchange, vaults }),
  incomingForwardingRule: incomingForwardingRule({ exchange, vaults }),
  incomingGroupForwardingRule: incomingGroupForwardingRule({ exchange, vaults }),
  domainForwardingRule: domainForwardingRule({ exchange, vaults }),
  incomingDomainForwardingRule: incomingDomainForwardingRule({ exchange, vaults }),
  stripRule: stripRule({ exchange }),
});
