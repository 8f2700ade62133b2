/** What a subscription holds of gateways, as far as a record tells: which machine mail comes to under a name, and from which address it leaves. */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { pathOf, tookEffect } from "./record.ts";

export interface Azure {
  take(exchange: Exchange): void;
  /** Addresses from which mail leaves that comes to a name: a machine's own, or those of a load balancer's machines. */
  egressOf(host: string): string[];
  /** Addresses of machines whose id begins so. */
  egressIn(scope: string): string[];
  /** Every address whose id begins so. */
  addressesIn(scope: string): string[];
}

interface Address {
  ip: string;
  fqdn: string;
}

interface Interface {
  address: string | undefined;
  pools: string[];
}

type Body = { id?: string; properties?: Record<string, unknown> };

export function createAzure(subscriptionId: string): Azure {
  const addresses = new Map<string, Address>();
  const interfaces = new Map<string, Interface>();
  const balancers = new Map<string, string[]>();
  const machines = new Map<string, string[]>();

  function take(exchange: Exchange): void {
    const { cloud, method, url, requestBody, responseBody } = exchange;
    const path = pathOf(url);
    if (cloud !== "arm" || !path.startsWith(`/subscriptions/${subscriptionId.toLowerCase()}/`)) return;
    const shown = (responseBody ?? {}) as Body;
    if (/\/publicipaddresses\/[^/]+$/.test(path) && shown.properties) {
      const { ipAddress, dnsSettings } = shown.properties as { ipAddress?: string; dnsSettings?: { fqdn?: string } };
      if (ipAddress) addresses.set(path, { ip: ipAddress, fqdn: dnsSettings?.fqdn?.toLowerCase() ?? "" });
    }
    if (!tookEffect(exchange)) return;
    if (method === "DELETE")
      for (const kept of [addresses, interfaces, balancers, machines])
        for (const id of kept.keys()) if (id === path || id.startsWith(`${path}/`)) kept.delete(id);
    if (method !== "PUT") return;
    const { properties = {} } = (requestBody ?? {}) as Body;
    if (/\/networkinterfaces\/[^/]+$/.test(path)) interfaces.set(path, interfaceOf(properties));
    if (/\/loadbalancers\/[^/]+$/.test(path)) balancers.set(path, frontendsOf(properties));
    if (/\/virtualmachines\/[^/]+$/.test(path)) machines.set(path, interfacesOf(properties));
  }

  const ipOf = (one: Interface | undefined): string[] => {
    const found = addresses.get(one?.address ?? "");
    return found ? [found.ip] : [];
  };

  return {
    take,
    egressOf: (host) => {
      const wanted = host.toLowerCase().replace(/^\[|\]$/g, "");
      const [id] = [...addresses].find(([, { ip, fqdn }]) => ip === wanted || fqdn === wanted) ?? [];
      if (id === undefined) return [];
      const own = [...interfaces.values()].filter(({ address }) => address === id);
      const behind = [...balancers].flatMap(([balancer, frontends]) =>
        frontends.includes(id)
          ? [...interfaces.values()].filter(({ pools }) => pools.some((pool) => pool.startsWith(`${balancer}/`)))
          : [],
      );
      return [...own, ...behind].flatMap(ipOf);
    },
    egressIn: (scope) =>
      [...machines].flatMap(([machine, own]) => (within(machine, scope) ? own.flatMap((id) => ipOf(interfaces.get(id))) : [])),
    addressesIn: (scope) => [...addresses].flatMap(([id, { ip }]) => (within(id, scope) ? [ip] : [])),
  };
}

const within = (id: string, scope: string): boolean => id === scope || id.startsWith(`${scope}/`);

function interfaceOf(properties: Record<string, unknown>): Interface {
  const { ipConfigurations = [] } = properties as {
    ipConfigurations?: {
      properties?: { publicIPAddress?: { id?: string }; loadBalancerBackendAddressPools?: { id?: string }[] };
    }[];
  };
  const [primary] = ipConfigurations;
  return {
    address: primary?.properties?.publicIPAddress?.id?.toLowerCase(),
    pools: ipConfigurations.flatMap(({ properties: { loadBalancerBackendAddressPools = [] } = {} }) =>
      idsOf(loadBalancerBackendAddressPools),
    ),
  };
}

function frontendsOf(properties: Record<string, unknown>): string[] {
  const { frontendIPConfigurations = [] } = properties as {
    frontendIPConfigurations?: { properties?: { publicIPAddress?: { id?: string } } }[];
  };
  return idsOf(frontendIPConfigurations.flatMap(({ properties: { publicIPAddress } = {} }) => publicIPAddress ?? []));
}

function interfacesOf(properties: Record<string, unknown>): string[] {
  const { networkProfile } = properties as { networkProfile?: { networkInterfaces?: { id?: string }[] } };
  return idsOf(networkProfile?.networkInterfaces ?? []);
}

const idsOf = (references: { id?: string }[]): string[] => references.flatMap(({ id }) => id?.toLowerCase() ?? []);
