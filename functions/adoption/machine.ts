/** The gateway that a person built: from the addresses of the subscription to the machine behind one of them, and all that it stands on. */
import type { NetworkInterface, PublicIPAddress } from "@azure/arm-network";
import type { VirtualMachine } from "@azure/arm-compute";
import type { Azure, AzureClients } from "../../shared/azure/client.ts";
import { readFailure } from "../../shared/azure/owned.ts";
import { regionName, type Subscription } from "../../shared/azure/place.ts";

/** Where mail can be delivered to. */
export interface PublicAddress {
  id: string;
  ipAddress: string;
  fqdn: string;
  dnsLabel: string;
  /** Of the network interface or the load balancer that has it. */
  usedBy: string;
}

/** Ids of what the manual lets a person make. */
export interface FoundMachine {
  region: string;
  size: string;
  computerName: string;
  resourceGroup: string;
  publicIpAddress: string;
  networkInterface: string;
  networkSecurityGroup: string;
  virtualNetwork: string;
  subnet: string;
  gatewayVm: string;
  availabilitySet?: string;
}

/** Why it isn't a gateway that can be taken over. */
export interface NoMachine {
  problem: string;
}

export async function publicAddresses(azure: Azure, subscription: Subscription): Promise<PublicAddress[]> {
  const found = await reading(azure, subscription, "the subscription's public addresses", async (clients) => {
    const all: PublicIPAddress[] = [];
    for await (const one of (await clients.network()).publicIPAddresses.listAll()) all.push(one);
    return all;
  });
  return (found ?? []).map(({ id = "", ipAddress = "", dnsSettings, ipConfiguration }) => ({
    id,
    ipAddress,
    fqdn: (dnsSettings?.fqdn ?? "").toLowerCase(),
    dnsLabel: dnsSettings?.domainNameLabel ?? "",
    usedBy: ipConfiguration?.id ?? "",
  }));
}

/** Manual, chapter 2: one machine with an interface and a static address of its own. */
export async function machineBehind(
  azure: Azure,
  subscription: Subscription,
  address: PublicAddress,
): Promise<FoundMachine | NoMachine> {
  const interfaceId = idOf(address.usedBy, "networkInterfaces");
  if (interfaceId === undefined) return { problem: `${address.ipAddress} is not the address of a machine's own interface` };
  const networkInterface = await reading(
    azure,
    subscription,
    "the network interface",
    async (clients): Promise<NetworkInterface> => (await clients.network()).networkInterfaces.get(...placeOf(interfaceId)),
  );
  const machineId = networkInterface?.virtualMachine?.id;
  if (machineId === undefined) return { problem: `no machine uses the interface ${nameOf(interfaceId)}` };
  const machine = await reading(
    azure,
    subscription,
    "the virtual machine",
    async (clients): Promise<VirtualMachine> => (await clients.compute()).virtualMachines.get(...placeOf(machineId)),
  );
  if (machine === undefined) return { problem: `the machine ${nameOf(machineId)} is gone` };
  const subnetId =
    (networkInterface?.ipConfigurations ?? []).find(({ publicIPAddress }) => sameText(publicIPAddress?.id, address.id))?.subnet
      ?.id ?? "";
  const virtualNetwork = subnetId.split("/subnets/")[0] ?? "";
  const guard =
    networkInterface?.networkSecurityGroup?.id ?? (await subnetGuard(azure, subscription, virtualNetwork, nameOf(subnetId)));
  if (guard === undefined)
    return { problem: `neither the interface ${nameOf(interfaceId)} nor its subnet has a network security group` };
  const [, , , , resourceGroup = ""] = machineId.split("/");
  const parts = { publicIpAddress: address.id, networkInterface: interfaceId, networkSecurityGroup: guard, virtualNetwork };
  const elsewhere = Object.entries(parts).find(([, id]) => !sameText(placeOf(id)[0], resourceGroup));
  if (elsewhere)
    return {
      problem: `the machine is in resource group ${resourceGroup}, and ${nameOf(elsewhere[1])} in ${placeOf(elsewhere[1])[0]}: one group has all of a gateway`,
    };
  return {
    region: regionName(machine.location),
    size: machine.hardwareProfile?.vmSize ?? "",
    computerName: machine.osProfile?.computerName ?? nameOf(machineId),
    resourceGroup: machineId.split("/providers/")[0] ?? "",
    ...parts,
    subnet: nameOf(subnetId),
    gatewayVm: machineId,
    ...(await setOf(azure, subscription, machine)),
  };
}

/** A machine names its set in capitals. */
async function setOf(
  azure: Azure,
  subscription: Subscription,
  { availabilitySet }: VirtualMachine,
): Promise<Pick<FoundMachine, "availabilitySet">> {
  const { id } = availabilitySet ?? {};
  if (id === undefined) return {};
  const set = await reading(azure, subscription, "the availability set", async (clients) =>
    (await clients.compute()).availabilitySets.get(...placeOf(id)),
  );
  return { availabilitySet: set?.id ?? id };
}

async function subnetGuard(
  azure: Azure,
  subscription: Subscription,
  networkId: string,
  subnet: string,
): Promise<string | undefined> {
  const network = await reading(azure, subscription, "the virtual network", async (clients) =>
    (await clients.network()).virtualNetworks.get(...placeOf(networkId)),
  );
  return network?.subnets?.find(({ name }) => name === subnet)?.networkSecurityGroup?.id;
}

async function reading<Found>(
  azure: Azure,
  subscription: Subscription,
  what: string,
  get: (clients: AzureClients) => Promise<Found>,
): Promise<Found | undefined> {
  const found = await azure.read(subscription, get);
  if (found.state === "unknown") throw readFailure(what, found);
  return found.state === "present" ? found.actual : undefined;
}

export const nameOf = (id: string): string => id.split("/").at(-1) ?? "";

/** Resource group and name. */
const placeOf = (id: string): [string, string] => [id.split("/")[4] ?? "", id.split("/")[8] ?? ""];

/** Of a resource of that type, from its own id or from that of something in it. */
const idOf = (id: string, type: string): string | undefined =>
  new RegExp(`^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/[^/]+/${type}/[^/]+`, "i").exec(id)?.[0];

const sameText = (one: string | undefined, other: string | undefined): boolean => one?.toLowerCase() === other?.toLowerCase();
