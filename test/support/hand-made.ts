/**
 * What a person makes who follows the manual (iQ.Suite, Azure Edition, chapters 2 to 4): in Azure's portal, on the machine's desktop, and in
 * the Exchange admin center. By Microsoft's clients and cmdlets and by nothing of our resources, under names of the person's own.
 */
import type { PublicIPAddress } from "@azure/arm-network";
import { setUpBy } from "../../infra/local/clouds/guest/product.ts";
import { derived, type GuestState } from "../../infra/local/clouds/guest/state.ts";
import { createAzure } from "../../shared/azure/client.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import type { TestClouds } from "./clouds.ts";
import type { Customer } from "./onboarding.ts";

export interface HandMade {
  resourceGroup: string;
  fqdn: string;
  ipAddress: string;
  virtualMachineId: string;
  /** Which the machine's own set-up has made. */
  loopGuid: string;
}

export interface HandMadeOptions {
  /** Whose mail goes to the gateway: everybody's without it (manual, chapter 4.5.1). */
  from?: string[];
  /** Under which names in Azure. */
  name?: string;
  /** What connectors and rules are called, from the manual's names. */
  called?(manual: string): string;
}

const HEADER = "X-iqsuite-process";
const wait = { updateIntervalInMs: 1 };
const image = { publisher: "gatewaymaker", offer: "mail-gateway", sku: "iq-suite-2022", version: "latest" };
const plan = { publisher: image.publisher, product: image.offer, name: image.sku };

/** Needs the customer's organisation, and our application's consent there: the person signs in to Azure by its token. */
export async function makeByHand(
  clouds: TestClouds,
  customer: Pick<Customer, "spec">,
  options: HandMadeOptions = {},
): Promise<HandMade> {
  const machine = await buildInPortal(clouds, customer, options);
  const loopGuid = setUpOnDesktop(clouds, customer, machine);
  await connectInExchange(clouds, customer, { ...machine, loopGuid }, options);
  return { ...machine, loopGuid };
}

/** Chapter 2: group, security group, network, address with a name, availability set, machine. */
async function buildInPortal(
  clouds: TestClouds,
  { spec: { azure, gateway } }: Pick<Customer, "spec">,
  { name = "iqsuite" }: HandMadeOptions,
): Promise<Omit<HandMade, "loopGuid">> {
  const { subscriptionId } = azure;
  const credentials = createCredentials(clouds.environment, clouds.application);
  const portal = createAzure({ environment: clouds.environment, credentials }).clients({
    entraTenantId: azure.tenantId,
    subscriptionId,
  });
  const [network, compute, resources, marketplace] = await Promise.all([
    portal.network(),
    portal.compute(),
    portal.resources(),
    portal.marketplace(),
  ]);
  const location = gateway.regions[0]?.name ?? "";
  const group = `${name}-rg`;
  const idOf = (type: string, called: string): string =>
    `/subscriptions/${subscriptionId}/resourceGroups/${group}/providers/${type}/${called}`;
  const rule = (priority: number, called: string, port: number) => ({
    name: called,
    priority,
    direction: "Inbound",
    access: "Allow",
    protocol: "Tcp",
    sourceAddressPrefix: "*",
    sourcePortRange: "*",
    destinationAddressPrefix: "*",
    destinationPortRange: String(port),
  });

  const terms = await marketplace.marketplaceAgreements.get("virtualmachine", plan.publisher, plan.product, plan.name);
  await marketplace.marketplaceAgreements.create("virtualmachine", plan.publisher, plan.product, plan.name, {
    ...terms,
    accepted: true,
  });
  await resources.resourceGroups.createOrUpdate(group, { location, tags: { costCenter: "4711" } });
  const securityRules = [rule(100, "RDP", 3389), rule(110, "SMTP", 25), rule(120, "WebClient", 8099)];
  await network.networkSecurityGroups.beginCreateOrUpdateAndWait(group, `${name}-nsg`, { location, securityRules }, wait);
  const addressSpace = { addressPrefixes: ["10.0.0.0/16"] };
  const subnets = [{ name: "default", addressPrefix: "10.0.0.0/24" }];
  await network.virtualNetworks.beginCreateOrUpdateAndWait(group, `${name}-vnet`, { location, addressSpace, subnets }, wait);
  const address: PublicIPAddress = {
    location,
    sku: { name: "Standard" },
    publicIPAllocationMethod: "Static",
    dnsSettings: { domainNameLabel: `${name}-${subscriptionId.slice(0, 8)}` },
  };
  const { ipAddress = "", dnsSettings } = await network.publicIPAddresses.beginCreateOrUpdateAndWait(
    group,
    `${name}-ip`,
    address,
    wait,
  );
  await compute.availabilitySets.createOrUpdate(group, `${name}-set`, {
    location,
    sku: { name: "Aligned" },
    platformFaultDomainCount: 2,
    platformUpdateDomainCount: 5,
  });
  await network.networkInterfaces.beginCreateOrUpdateAndWait(
    group,
    `${name}-nic`,
    {
      location,
      networkSecurityGroup: { id: idOf("Microsoft.Network/networkSecurityGroups", `${name}-nsg`) },
      ipConfigurations: [
        {
          name: "ipconfig1",
          primary: true,
          privateIPAllocationMethod: "Dynamic",
          subnet: { id: `${idOf("Microsoft.Network/virtualNetworks", `${name}-vnet`)}/subnets/default` },
          publicIPAddress: { id: idOf("Microsoft.Network/publicIPAddresses", `${name}-ip`) },
        },
      ],
    },
    wait,
  );
  await compute.virtualMachines.beginCreateOrUpdateAndWait(
    group,
    `${name}-vm`,
    {
      location,
      plan,
      hardwareProfile: { vmSize: "Standard_D4s_v3" },
      availabilitySet: { id: idOf("Microsoft.Compute/availabilitySets", `${name}-set`) },
      storageProfile: {
        imageReference: image,
        osDisk: { createOption: "FromImage", deleteOption: "Delete", managedDisk: { storageAccountType: "StandardSSD_LRS" } },
      },
      osProfile: { computerName: "iqsuite-18-1", adminUsername: "iqadmin", adminPassword: "Chosen-by-hand-4711" },
      networkProfile: {
        networkInterfaces: [{ id: idOf("Microsoft.Network/networkInterfaces", `${name}-nic`), primary: true }],
      },
      diagnosticsProfile: { bootDiagnostics: { enabled: true } },
    },
    wait,
  );
  const virtualMachineId = idOf("Microsoft.Compute/virtualMachines", `${name}-vm`);
  return { resourceGroup: group, fqdn: dnsSettings?.fqdn ?? "", ipAddress, virtualMachineId };
}

/** Chapters 2.1, 3.2 and 4.1, by Remote Desktop: the image has set itself up by then. Gives the Guid of its configuration.xml. */
function setUpOnDesktop(
  { platform }: TestClouds,
  { spec }: Pick<Customer, "spec">,
  { virtualMachineId, fqdn }: Omit<HandMade, "loopGuid">,
): string {
  const guests = platform.collection<GuestState>("arm.guests");
  const [key, fresh] = guests.entries().find(([id]) => id === virtualMachineId.toLowerCase()) ?? [];
  if (key === undefined || !fresh) throw new Error(`there is no machine ${virtualMachineId}`);
  const now = platform.now();
  const guest = setUpBy(now + 24 * 3600 * 1000, fresh);
  const smartHost = `${spec.microsoft365.domains[0]?.replaceAll(".", "-")}.mail.protection.outlook.com`;
  const domains = Object.fromEntries(spec.microsoft365.domains.map((domain) => [domain, { tls: true, smartHost }]));
  const certificate = {
    store: "My",
    thumbprint: "A".repeat(40),
    names: [fqdn],
    notBefore: now,
    notAfter: now + 1e11,
    selfSigned: true,
  };
  const open = { group: undefined, protocol: "TCP" as const, enabled: true, sources: ["Any"] };
  guests.set(
    key,
    derived({
      ...guest,
      services: { ...guest.services, SMTPSVC: { startType: "Automatic", state: "Running" } },
      metabase: { fqdn, smartHost, smartHostType: 2, alwaysUseSsl: true, accessSsl: true, domains, relayFrom: ["52.100.0.0/16"] },
      certificates: [certificate],
      firewall: [...guest.firewall, { ...open, name: "SMTP-In", displayName: "SMTP", port: 25 }],
    }),
  );
  const values = guest.registry["hklm\\software\\gbs\\iq.suite\\inject"] ?? {};
  return String(values["AdditionalInjectHeaders"]?.data).slice(HEADER.length + 1);
}

/** Chapters 4.4 to 4.7. */
async function connectInExchange(
  { platform }: TestClouds,
  { spec: { microsoft365 } }: Pick<Customer, "spec">,
  { fqdn, ipAddress, loopGuid }: HandMade,
  { from, called = (manual) => manual }: HandMadeOptions,
): Promise<void> {
  const run = (cmdlet: string, parameters: Record<string, unknown>) =>
    platform.peers.runByHand?.(microsoft365.tenantId, cmdlet, parameters);
  await run("New-InboundConnector", {
    Name: called("FROM Azure VM to M365"),
    ConnectorType: "OnPremises",
    SenderDomains: ["*"],
    SenderIPAddresses: [ipAddress],
    RequireTls: true,
    Comment: "iQ.Suite, chapter 4.4.1",
  });
  await run("New-OutboundConnector", {
    Name: called("M365 to Azure VM"),
    ConnectorType: "OnPremises",
    IsTransportRuleScoped: true,
    UseMXRecord: false,
    SmartHosts: [fqdn],
    TlsSettings: "EncryptionOnly",
  });
  await run("New-TransportRule", {
    Name: called("Route all Mails to own Azure VM"),
    ...(from ? { From: from } : {}),
    RouteMessageOutboundConnector: called("M365 to Azure VM"),
    ExceptIfHeaderContainsMessageHeader: HEADER,
    ExceptIfHeaderContainsWords: [loopGuid],
  });
  await run("New-TransportRule", {
    Name: called("Approve all Mails from own SMTP Server on Azure VM"),
    SenderIpRanges: [ipAddress],
    HeaderContainsMessageHeader: HEADER,
    HeaderContainsWords: [loopGuid],
    SetSCL: "-1",
  });
  await run("Set-HostedConnectionFilterPolicy", { Identity: "Default", IPAllowList: [ipAddress] });
}
