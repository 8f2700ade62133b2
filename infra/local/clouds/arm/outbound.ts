/**
 * From a machine to the internet: which public address its connections come from, and whether port 25 is open to it.
 *
 * Sources: "Default outbound access in Azure" (an own public address comes first, then the load balancer, then the default address unless
 * the subnet is private or the machine is behind a Standard load balancer); "Troubleshoot outbound SMTP connectivity problems in Azure"
 * (port 25 is open for Enterprise Agreement subscriptions, and blocked for all other kinds).
 */
import type { Json } from "./envelope.ts";
import { sameId, type Estate, type Stored } from "./estate.ts";
import { membersOf, poolsOf } from "./load-balancers.ts";

export interface Outbound {
  /** Undefined when there is no way out. */
  address: string | undefined;
  /** Whether TCP to port 25 gets out. */
  smtp: boolean;
}

/** Stands for the addresses that Azure lends to machines with default outbound access; nobody may rely on one. */
export const DEFAULT_OUTBOUND_ADDRESS = "198.51.100.250";

const idIn = (value: unknown): string | undefined => (value as { id?: string } | undefined)?.id;

export function outboundOf(estate: Estate, machine: Stored): Outbound {
  const address = addressOf(estate, machine);
  const offer = estate.subscription(machine.id.split("/")[2] ?? "")?.offer;
  return { address, smtp: address !== undefined && offer === "EnterpriseAgreement" };
}

function addressOf(estate: Estate, machine: Stored): string | undefined {
  const used = ((machine.body.properties["networkProfile"] as Json | undefined)?.["networkInterfaces"] ?? []) as Json[];
  const configurations = used
    .map(({ id }) => estate.resource(String(id)))
    .flatMap((networkInterface) => membersOf(networkInterface, "ipConfigurations"));
  const own = configurations.map(({ properties }) => ipAddress(estate, properties["publicIPAddress"])).find(Boolean);
  if (own !== undefined) return own;
  const pools = configurations.flatMap(({ properties }) => poolsOf(properties));
  if (pools.length > 0) return pools.map((pool) => balancedAddress(estate, pool)).find(Boolean);
  return configurations.some(({ properties }) => hasDefaultAccess(estate, idIn(properties["subnet"]) ?? ""))
    ? DEFAULT_OUTBOUND_ADDRESS
    : undefined;
}

const ipAddress = (estate: Estate, reference: unknown): string | undefined => {
  const address = estate.resource(idIn(reference) ?? "")?.body.properties["ipAddress"];
  return typeof address === "string" ? address : undefined;
};

/** By an outbound rule, or by a rule whose SNAT was not disabled. */
function balancedAddress(estate: Estate, poolId: string): string | undefined {
  const balancer = estate.resource(poolId.split("/").slice(0, -2).join("/"));
  const named = membersOf(balancer, "outboundRules")
    .filter(({ properties }) => sameId(idIn(properties["backendAddressPool"]), poolId))
    .flatMap(({ properties }) => properties["frontendIPConfigurations"] as { id: string }[]);
  const implied = membersOf(balancer, "loadBalancingRules")
    .filter(
      ({ properties }) => properties["disableOutboundSnat"] !== true && sameId(idIn(properties["backendAddressPool"]), poolId),
    )
    .map(({ properties }) => properties["frontendIPConfiguration"] as { id: string });
  const frontends = membersOf(balancer, "frontendIPConfigurations");
  return [...named, ...implied]
    .map(({ id }) => frontends.find((frontend) => sameId(frontend.id, id)))
    .map((frontend) => ipAddress(estate, frontend?.properties["publicIPAddress"]))
    .find(Boolean);
}

function hasDefaultAccess(estate: Estate, subnetId: string): boolean {
  const network = estate.resource(subnetId.split("/").slice(0, -2).join("/"));
  const subnet = membersOf(network, "subnets").find(({ id }) => sameId(id, subnetId));
  return subnet !== undefined && subnet.properties["defaultOutboundAccess"] !== false;
}
