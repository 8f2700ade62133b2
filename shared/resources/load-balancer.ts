/** Manual, chapter 2.3; mission A11: one address for several gateways; mail goes to those whose SMTP server answers. */
import type { LoadBalancer as FoundBalancer } from "@azure/arm-network";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  memberChanges,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  refuseReplacement,
  removeOwned,
} from "../azure/owned.ts";
import { BACKEND_POOL, backendPoolIn, type Named, ownershipTags, regionName, sameId } from "../azure/place.ts";
import type { Services } from "../tenants/spec.ts";
import type { Resource } from "./resource.ts";

export type LoadBalancer = Named & {
  publicIpAddressId: string;
  /** Its own resource id: rules name their parts by it. */
  id: string;
  services: Services;
};

/** A service that is balanced: `path` is what its HTTP probe asks for, a probe without one only connects. */
export interface BalancedService {
  name: string;
  port: number;
  protocol: "Tcp" | "Http" | "Https";
  path?: string | undefined;
}

export interface ActualLoadBalancer extends Provisioned {
  id: string;
  region: string;
  sku: string;
  /** In lower case. */
  publicIpAddressId: string;
  poolId: string;
  /** By name: `{frontend port}->{backend port} by {probe}`, with what differs from ours. */
  rules: Record<string, BalancedRule>;
}

/** Canonical: what a rule of ours is made of. */
export interface BalancedRule {
  port: number;
  backendPort: number;
  pool: string;
  probe: { protocol: string; port: number; path: string; intervalInSeconds: number; failures: number };
  outboundSnat: boolean;
  distribution: string;
  idleTimeoutInMinutes: number;
}

const FRONTEND = "public";
/** Manual, chapter 2.3.3: every 5 seconds, out after 2 failures. */
const PROBE_INTERVAL_IN_SECONDS = 5;
const PROBE_FAILURES = 2;
const IDLE_TIMEOUT_IN_MINUTES = 4;
/** A static file that answers 200 without signing in (manual, chapter 2.3.3). */
const PROBE_PATH = "/iisstart.htm";

/** SMTP always; the web only where the spec opens it. */
export const balancedServices = ({ http, https }: Services): BalancedService[] => [
  { name: "smtp", port: 25, protocol: "Tcp" },
  ...(http === undefined ? [] : [{ name: "http", port: 80, protocol: "Http" as const, path: PROBE_PATH }]),
  ...(https === undefined ? [] : [{ name: "https", port: 443, protocol: "Https" as const, path: PROBE_PATH }]),
];

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region" || path === "sku";

export const loadBalancer = ({ azure }: { azure: Azure }): Resource<LoadBalancer, ActualLoadBalancer> => {
  const what = ({ name }: LoadBalancer): string => `load balancer ${name}`;
  const observe = (desired: LoadBalancer) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.network()).loadBalancers.get(desired.resourceGroup, desired.name),
      actualOf,
    );
  const write = (action: string, desired: LoadBalancer, found: FoundBalancer | undefined) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.network()).loadBalancers.beginCreateOrUpdate(desired.resourceGroup, desired.name, bodyOf(desired, found), {
        onResponse,
      }),
    );

  return {
    kind: "loadBalancer",
    fixed,
    observe,
    diff: ({ region, publicIpAddressId, id, services }, { rules, ...actual }) => [
      ...changesBetween(
        {
          region,
          sku: "Standard",
          publicIpAddressId: publicIpAddressId.toLowerCase(),
          poolId: sameId(backendPoolIn(id), actual.poolId) ? actual.poolId : backendPoolIn(id),
        },
        actual,
      ),
      // A rule that we don't know takes mail or visitors where nobody looks.
      ...memberChanges("rules", rulesOf(services), rules),
    ],
    create: (desired) => write("creating", desired, undefined),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.network()).loadBalancers.get(desired.resourceGroup, desired.name),
      );
      return write("updating", desired, found);
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.network()).loadBalancers.beginDelete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

const lastOf = (id: string | undefined): string => (id ?? "").split("/").at(-1) ?? "";

const rulesOf = (services: Services): Record<string, BalancedRule> =>
  Object.fromEntries(
    balancedServices(services).map(({ name, port, protocol, path }) => [
      name,
      {
        port,
        backendPort: port,
        pool: BACKEND_POOL,
        probe: { protocol, port, path: path ?? "", intervalInSeconds: PROBE_INTERVAL_IN_SECONDS, failures: PROBE_FAILURES },
        outboundSnat: false,
        distribution: "Default",
        idleTimeoutInMinutes: IDLE_TIMEOUT_IN_MINUTES,
      },
    ]),
  );

function actualOf(found: FoundBalancer): ActualLoadBalancer {
  const probes = new Map((found.probes ?? []).map((probe) => [lastOf(probe.id).toLowerCase(), probe]));
  const frontend = found.frontendIPConfigurations?.find(({ name }) => name === FRONTEND);
  return {
    id: found.id ?? "",
    region: regionName(found.location),
    sku: found.sku?.name ?? "Basic",
    publicIpAddressId: (frontend?.publicIPAddress?.id ?? "").toLowerCase(),
    poolId: found.backendAddressPools?.find(({ name }) => name === BACKEND_POOL)?.id ?? "",
    rules: Object.fromEntries(
      (found.loadBalancingRules ?? []).map((rule) => {
        const probe = probes.get(lastOf(rule.probe?.id).toLowerCase());
        return [
          rule.name ?? "",
          {
            port: rule.frontendPort ?? 0,
            backendPort: rule.backendPort ?? 0,
            pool: lastOf(rule.backendAddressPool?.id ?? rule.backendAddressPools?.[0]?.id),
            probe: {
              protocol: probe?.protocol ?? "",
              port: probe?.port ?? 0,
              path: probe?.requestPath ?? "",
              intervalInSeconds: probe?.intervalInSeconds ?? 0,
              // Azure reads the newer probeThreshold where it is above 1, else numberOfProbes.
              failures:
                probe?.probeThreshold !== undefined && probe.probeThreshold > 1
                  ? probe.probeThreshold
                  : (probe?.numberOfProbes ?? 0),
            },
            outboundSnat: rule.disableOutboundSnat !== true,
            distribution: rule.loadDistribution ?? "Default",
            idleTimeoutInMinutes: rule.idleTimeoutInMinutes ?? IDLE_TIMEOUT_IN_MINUTES,
          },
        ];
      }),
    ),
    provisioningState: provisioningStateOf(found.provisioningState),
  };
}

/** Machines leave by their own addresses (`disableOutboundSnat`), which connectors and filters name: never by the balancer's. */
function bodyOf(
  { id, region, owner, publicIpAddressId, services }: LoadBalancer,
  found: FoundBalancer | undefined,
): FoundBalancer {
  const balanced = balancedServices(services);
  const others = (found?.backendAddressPools ?? []).filter(({ name }) => name !== BACKEND_POOL);
  return {
    location: region,
    tags: { ...found?.tags, ...ownershipTags(owner) },
    sku: { name: "Standard", tier: "Regional" },
    frontendIPConfigurations: [{ name: FRONTEND, publicIPAddress: { id: publicIpAddressId } }],
    backendAddressPools: [{ name: BACKEND_POOL }, ...others.map(({ name }) => ({ name: name ?? "" }))],
    probes: balanced.map(({ name, port, protocol, path }) => ({
      name,
      protocol,
      port,
      ...(path === undefined ? {} : { requestPath: path }),
      intervalInSeconds: PROBE_INTERVAL_IN_SECONDS,
      numberOfProbes: PROBE_FAILURES,
      probeThreshold: PROBE_FAILURES,
    })),
    loadBalancingRules: balanced.map(({ name, port }) => ({
      name,
      frontendIPConfiguration: { id: `${id}/frontendIPConfigurations/${FRONTEND}` },
      backendAddressPool: { id: backendPoolIn(id) },
      probe: { id: `${id}/probes/${name}` },
      protocol: "Tcp",
      frontendPort: port,
      backendPort: port,
      loadDistribution: "Default",
      idleTimeoutInMinutes: IDLE_TIMEOUT_IN_MINUTES,
      enableTcpReset: true,
      disableOutboundSnat: true,
    })),
  };
}
