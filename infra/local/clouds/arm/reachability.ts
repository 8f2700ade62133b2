/** From the internet to a machine: public address, load balancer, network interface, security groups, power state, Windows firewall. */
import type { SimulatedGuest } from "../simulator.ts";
import { type GuestState, opens } from "../guest/state.ts";
import type { Json } from "./envelope.ts";
import { keyOf, sameId, type Estate, type Stored } from "./estate.ts";
import { configurationsInPool, frontendWith, membersOf, type Probe, type Rule } from "./load-balancers.ts";
import { machineUsing } from "./network-interfaces.ts";
import { addressWithin, admits } from "./network-security-groups.ts";
import { outboundOf } from "./outbound.ts";

type Configuration = Json & { id: string; properties: Json };

/** Where every probe comes from. Source: "What is IP address 168.63.129.16?". */
const PROBE_ADDRESS = "168.63.129.16";

export interface Reachability {
  /** The machine that answers TCP on a port of a public address, when every group and firewall on the way lets the source through. */
  gatewayAt(address: string, port: number, source: string): SimulatedGuest | undefined;
  /** A machine's inside, whether it can be reached or not; its SMTP server runs only while the machine does. */
  guestOf(virtualMachineId: string): SimulatedGuest | undefined;
}

export function createReachability(estate: Estate): Reachability {
  /** A load balancer spreads connections over its healthy machines; here in turn. */
  const turns = new Map<string, number>();

  function balanced(publicIpAddressId: string, port: number, source: string): SimulatedGuest | undefined {
    const { balancer, frontend } = frontendWith(estate, publicIpAddressId) ?? {};
    if (balancer === undefined || frontend === undefined) return undefined;
    const rule = membersOf(balancer, "loadBalancingRules")
      .map(({ properties }) => properties as unknown as Rule)
      .find(
        ({ protocol, frontendPort, frontendIPConfiguration }) =>
          sameId(frontendIPConfiguration.id, frontend.id) &&
          (protocol === "All" || (protocol === "Tcp" && frontendPort === port)),
      );
    if (rule === undefined) return undefined;
    const probe = membersOf(balancer, "probes").find(({ id }) => sameId(id, rule.probe?.id))?.properties as Probe | undefined;
    const backendPort = rule.protocol === "All" ? port : rule.backendPort;
    const healthy = configurationsInPool(estate, rule.backendAddressPool.id).filter(
      (configuration) => probe === undefined || answersProbe(estate, configuration, probe),
    );
    if (healthy.length === 0) return undefined;
    const turn = rule.loadDistribution === "Default" ? (turns.get(frontend.id) ?? 0) : numberOf(source);
    turns.set(frontend.id, turn + 1);
    const chosen = healthy[turn % healthy.length];
    return chosen === undefined ? undefined : answering(estate, chosen, { port: backendPort, source });
  }

  return {
    gatewayAt: (address, port, source) => {
      const publicIpAddress = estate
        .ofType("Microsoft.Network/publicIPAddresses")
        .find(({ body }) => body.properties["ipAddress"] === address);
      if (publicIpAddress === undefined) return undefined;
      const configuration = configurations(estate).find(({ properties }) =>
        sameId((properties["publicIPAddress"] as Json | undefined)?.["id"], publicIpAddress.id),
      );
      return configuration === undefined
        ? balanced(publicIpAddress.id, port, source)
        : answering(estate, configuration, { port, source });
    },
    guestOf: (virtualMachineId) => {
      const machine = estate.resource(virtualMachineId);
      const guest = estate.guests.get(keyOf(virtualMachineId));
      if (machine === undefined || guest === undefined) return undefined;
      const seen = fromOutside(estate, machine, guest);
      return { ...seen, smtp: { ...seen.smtp, running: seen.smtp.running && runs(machine) } };
    },
  };
}

const configurations = (estate: Estate): Configuration[] =>
  estate
    .ofType("Microsoft.Network/networkInterfaces")
    .flatMap((networkInterface) => networkInterface.body.properties["ipConfigurations"] as Configuration[]);

const numberOf = (address: string): number => address.split(".").reduce((sum, part) => sum + Number(part), 0);

const runs = ({ facts }: Stored): boolean => facts["power"] === "running" && facts["outage"] !== true;

function answering(
  estate: Estate,
  configuration: Configuration,
  { port, source }: { port: number; source: string },
): SimulatedGuest | undefined {
  const networkInterface = estate.resource(configuration.id.split("/").slice(0, -2).join("/"));
  if (networkInterface === undefined) return undefined;
  const groups = securityGroupsOf(estate, networkInterface, configuration);
  // A Standard public address is closed until a security group opens it.
  if (groups.length === 0 || !groups.every((group) => admits(group, port, source))) return undefined;
  const machine = machineUsing(estate, networkInterface.id);
  const guest = machine === undefined ? undefined : estate.guests.get(keyOf(machine.id));
  if (machine === undefined || guest === undefined || !runs(machine)) return undefined;
  const open = guest.firewall.some(
    (rule) => opens(rule, port) && rule.sources.some((allowed) => allowed === "Any" || addressWithin(allowed, source)),
  );
  return open ? fromOutside(estate, machine, guest) : undefined;
}

/** What the internet sees of a guest: also where its own connections come from, if they get out at all. */
function fromOutside(estate: Estate, machine: Stored, guest: GuestState): SimulatedGuest {
  const { address, smtp } = outboundOf(estate, machine);
  return { ...guest, egressAddress: address ?? "", ...(smtp ? {} : { outboundSmtpBlocked: true }) };
}

/** Port 25 answers while the SMTP server runs, a web port while IIS does; any other port while the firewall lets the probe through. */
function answersProbe(estate: Estate, configuration: Configuration, { port }: Probe): boolean {
  const guest = answering(estate, configuration, { port, source: PROBE_ADDRESS }) as GuestState | undefined;
  if (guest === undefined) return false;
  if (port === 25) return guest.smtp.running;
  return port === 80 || port === 443 ? guest.services["W3SVC"]?.state === "Running" : true;
}

/** Traffic passes the subnet's group and the interface's. */
function securityGroupsOf(estate: Estate, networkInterface: Stored, { properties }: Configuration): Stored[] {
  const subnetId = String((properties["subnet"] as Json | undefined)?.["id"]);
  const network = estate.resource(subnetId.split("/").slice(0, -2).join("/"));
  const subnet = ((network?.body.properties["subnets"] ?? []) as Configuration[]).find(({ id }) => sameId(id, subnetId));
  return [subnet?.properties["networkSecurityGroup"], networkInterface.body.properties["networkSecurityGroup"]]
    .map((reference) => (reference as Json | undefined)?.["id"])
    .filter((id) => typeof id === "string")
    .map((id) => estate.resource(id))
    .filter((group) => group !== undefined);
}

export const publicAddresses = (
  estate: Estate,
): { fqdn: string | undefined; reverseFqdn: string | undefined; address: string }[] =>
  estate.ofType("Microsoft.Network/publicIPAddresses").map(({ body: { properties } }) => {
    const dns = properties["dnsSettings"] as { fqdn?: string; reverseFqdn?: string } | undefined;
    return { fqdn: dns?.fqdn, reverseFqdn: dns?.reverseFqdn?.replace(/\.$/, ""), address: String(properties["ipAddress"]) };
  });

export const identities = (estate: Estate): { resourceId: string; clientId: string; principalId: string; tenantId: string }[] =>
  estate.ofType("Microsoft.ManagedIdentity/userAssignedIdentities").map(({ id, body: { properties } }) => ({
    resourceId: id,
    clientId: String(properties["clientId"]),
    principalId: String(properties["principalId"]),
    tenantId: String(properties["tenantId"]),
  }));
