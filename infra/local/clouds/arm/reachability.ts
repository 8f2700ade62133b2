/** From the internet to a machine and back: public address, network interface, security groups, power state, Windows firewall. */
import type { SimulatedGuest } from "../simulator.ts";
import type { Json } from "./envelope.ts";
import { keyOf, sameId, type Estate, type Stored } from "./estate.ts";
import { machineUsing } from "./network-interfaces.ts";
import { addressWithin, admits } from "./network-security-groups.ts";

type Configuration = Json & { properties: Json };

/** The machine that answers TCP on a port of a public address, when every group and firewall on the way lets the source through. */
export function gatewayAt(estate: Estate, address: string, port: number, source: string): SimulatedGuest | undefined {
  const publicIpAddress = estate
    .ofType("Microsoft.Network/publicIPAddresses")
    .find(({ body }) => body.properties["ipAddress"] === address);
  if (publicIpAddress === undefined) return undefined;
  for (const networkInterface of estate.ofType("Microsoft.Network/networkInterfaces")) {
    const configuration = (networkInterface.body.properties["ipConfigurations"] as Configuration[]).find(({ properties }) =>
      sameId((properties["publicIPAddress"] as Json | undefined)?.["id"], publicIpAddress.id),
    );
    if (configuration === undefined) continue;
    const groups = securityGroupsOf(estate, networkInterface, configuration);
    // A Standard public address is closed until a security group opens it.
    if (groups.length === 0 || !groups.every((group) => admits(group, port, source))) return undefined;
    const machine = machineUsing(estate, networkInterface.id);
    const guest = machine === undefined ? undefined : estate.guests.get(keyOf(machine.id));
    if (guest === undefined || machine?.facts["power"] !== "running" || machine.facts["outage"] === true) return undefined;
    const open = guest.firewall.some(
      (rule) =>
        rule.enabled &&
        rule.protocol === "TCP" &&
        (rule.port === "any" || rule.port === port) &&
        rule.sources.some((allowed) => allowed === "Any" || addressWithin(allowed, source)),
    );
    return open ? { ...guest, egressAddress: address } : undefined;
  }
  return undefined;
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
