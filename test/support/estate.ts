/** What the simulated clouds hold of one customer, looked up in their own collections: secrets as they really are, for comparison only. */
import type { ServicePrincipal, Application } from "../../infra/local/clouds/entra/directory.ts";
import type { Connector, ConnectionFilterPolicy, TransportRule } from "../../infra/local/clouds/exchange/store.ts";
import type { Customer } from "./onboarding.ts";
import type { CloudName, Collection } from "../../infra/local/clouds/simulator.ts";

export interface Estate {
  /** Types of everything in the subscription, sorted. */
  azure: string[];
  /** Names; rules from top to bottom. */
  exchange: { inboundConnectors: string[]; outboundConnectors: string[]; transportRules: string[] };
  /** The customer's own: neither ours nor Microsoft's. */
  directory: { applications: number; servicePrincipals: number };
  /** Versions of each secret in the customer's vault. */
  secrets: Record<string, number>;
  publicIpAddress: { fqdn: string; address: string; region: string } | undefined;
  /** Inbound rules of the network security group: priority, name, port, protocol, sources. */
  admitted: string[];
  addresses: { inboundConnector: unknown; connectionFilter: string[]; smartHosts: unknown; forwarded: unknown };
  /** Every place that has the loop GUID, with what stands there. */
  loopGuid: { vault: string | undefined; registry: unknown; approvalRule: unknown; forwardingRule: unknown };
}

interface Resource {
  id: string;
  type: string;
  location: string;
  properties: Record<string, unknown>;
}
interface SecurityRule {
  name: string;
  properties: Record<string, unknown>;
}
interface ArmState {
  resourceGroups: { id: string }[];
  resources: Resource[];
  roleAssignments: { scope: string }[];
}
interface Secret {
  name: string;
  versions: { value: string }[];
}

/** Clouds that can be looked into, in this process or in what another one keeps. */
export interface OpenClouds {
  /** `GET /state/<cloud>`. */
  state(cloud: CloudName): Promise<unknown>;
  platform: { collection<T>(name: string): Pick<Collection<T>, "entries" | "values"> };
}

export async function estateOf(clouds: OpenClouds, { spec }: Pick<Customer, "spec">): Promise<Estate> {
  const { platform } = clouds;
  const { organization, subscription } = { organization: spec.microsoft365.tenantId, subscription: spec.azure.subscriptionId };
  const arm = (await clouds.state("arm")) as ArmState;
  const inSubscription = (id: string): boolean => id.toLowerCase().startsWith(`/subscriptions/${subscription}/`);
  const resources = arm.resources.filter(({ id }) => inSubscription(id));
  const only = (type: string): Resource | undefined => resources.find((one) => one.type === type);
  const of = <T extends { tenantId: string }>(collection: string): T[] =>
    platform
      .collection<T>(collection)
      .values()
      .filter(({ tenantId }) => tenantId === organization);
  const inDirectory = <T>(collection: string): T[] =>
    platform
      .collection<T>(collection)
      .entries()
      .flatMap(([key, value]) => (key.startsWith(`${organization}/`) ? [value] : []));

  const rules = of<TransportRule>("exchange.transport-rules").sort((one, other) => one.priority - other.priority);
  const approval = rules.find(({ settings }) => settings["SetSCL"] !== undefined);
  const forwarding = rules.find(({ settings }) => settings["RouteMessageOutboundConnector"] !== undefined);
  const inbound = of<Connector>("exchange.inbound-connectors");
  const outbound = of<Connector>("exchange.outbound-connectors");
  const applications = inDirectory<Application>("entra.applications");
  const principals = inDirectory<ServicePrincipal>("entra.servicePrincipals");
  const vaultName = only("Microsoft.KeyVault/vaults")?.id.split("/").at(-1)?.toLowerCase();
  const secrets = platform
    .collection<Secret>("vault.secrets")
    .entries()
    .flatMap(([key, secret]) => (key.startsWith(`${vaultName}/`) ? [secret] : []));
  const guest = platform
    .collection<{ registry: Record<string, Record<string, { data: unknown }>> }>("arm.guests")
    .entries()
    .find(([id]) => inSubscription(id))?.[1];
  const address = only("Microsoft.Network/publicIPAddresses");
  const { dnsSettings, ipAddress } = (address?.properties ?? {}) as { dnsSettings?: { fqdn?: string }; ipAddress?: string };
  const { securityRules = [] } = (only("Microsoft.Network/networkSecurityGroups")?.properties ?? {}) as {
    securityRules?: SecurityRule[];
  };

  return {
    azure: [
      ...arm.resourceGroups.flatMap(({ id }) => (inSubscription(`${id}/`) ? ["resourceGroup"] : [])),
      ...arm.roleAssignments.flatMap(({ scope }) =>
        inSubscription(`${scope}/`) && scope.includes("/vaults/") ? ["roleAssignment"] : [],
      ),
      ...resources.map(({ type }) => type),
    ].toSorted(),
    exchange: {
      inboundConnectors: inbound.map(({ name }) => name),
      outboundConnectors: outbound.map(({ name }) => name),
      transportRules: rules.map(({ name }) => name),
    },
    directory: {
      applications: applications.length,
      servicePrincipals: principals.filter(({ appOwnerOrganizationId }) => appOwnerOrganizationId === organization).length,
    },
    // Made side by side, in either order.
    secrets: Object.fromEntries(
      secrets
        .map(({ name, versions }) => [name, versions.length] as const)
        .toSorted(([one], [other]) => one.localeCompare(other)),
    ),
    publicIpAddress: address && { fqdn: dnsSettings?.fqdn ?? "", address: ipAddress ?? "", region: address.location },
    admitted: securityRules
      .map(({ name, properties }): Record<string, unknown> => ({ name, ...properties }))
      .filter(({ direction, access }) => direction === "Inbound" && access === "Allow")
      .toSorted((one, other) => Number(one["priority"]) - Number(other["priority"]))
      .map(
        ({ priority, name, destinationPortRange, protocol, sourceAddressPrefix, sourceAddressPrefixes }) =>
          `${String(priority)} ${String(name)} ${String(destinationPortRange)}/${String(protocol)} from ${[sourceAddressPrefix, sourceAddressPrefixes].flat().filter(Boolean).join(", ")}`,
      ),
    addresses: {
      inboundConnector: inbound[0]?.settings["SenderIPAddresses"],
      connectionFilter: of<ConnectionFilterPolicy>("exchange.connection-filters")[0]?.allowed ?? [],
      smartHosts: outbound[0]?.settings["SmartHosts"],
      forwarded: forwarding?.settings["From"],
    },
    loopGuid: {
      vault: secrets.find(({ name }) => name === "loop-guid")?.versions.at(-1)?.value,
      registry: guest?.registry["hklm\\software\\gbs\\iq.suite\\inject"]?.["AdditionalInjectHeaders"]?.data,
      approvalRule: approval?.settings["HeaderContainsWords"],
      forwardingRule: forwarding?.settings["ExceptIfHeaderContainsWords"],
    },
  };
}

/** The same text for estates that differ in nothing but in what is random: the loop GUID, and which of two comes first. */
export const canonical = (estate: Estate): string =>
  JSON.stringify(estate, (key, value: unknown) =>
    (key === "approvalRule" || key === "forwardingRule") && Array.isArray(value)
      ? value.map(String).toSorted(last(estate))
      : value,
  ).replaceAll(estate.loopGuid.vault ?? "no loop GUID", "{loop GUID}");

const last =
  ({ loopGuid: { vault } }: Estate) =>
  (one: string, other: string): number =>
    Number(one === vault) - Number(other === vault) || one.localeCompare(other);

/** One of each thing that an onboarding makes: what an estate has afterwards, however often it was tried. */
export const oneOfEach = {
  azure: [
    "Microsoft.Compute/disks",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Compute/virtualMachines/runCommands",
    "Microsoft.KeyVault/vaults",
    "Microsoft.ManagedIdentity/userAssignedIdentities",
    "Microsoft.Network/networkInterfaces",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/publicIPAddresses",
    "Microsoft.Network/virtualNetworks",
    "resourceGroup",
    "roleAssignment",
    "roleAssignment",
  ],
  exchange: {
    inboundConnectors: ["FROM Azure VM to M365"],
    outboundConnectors: ["M365 to Azure VM"],
    transportRules: [
      "Guard loop header of own Azure VM",
      "Route all Mails to own Azure VM",
      "Approve all Mails from own SMTP Server on Azure VM",
      "Strip loop header of own Azure VM",
    ],
  },
  directory: { applications: 1, servicePrincipals: 1 },
  secrets: { "loop-guid": 1, "gateway-admin-password": 1 },
};
