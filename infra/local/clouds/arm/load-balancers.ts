/**
 * Microsoft.Network/loadBalancers: Standard, with frontends, backend pools of network interfaces, probes, rules and outbound rules.
 *
 * Sources: loadBalancer.json of Network's published API; "Troubleshoot common Azure deployment errors with Azure Load Balancer" for codes;
 * "Azure Load Balancer health probes" for what a probe may be.
 */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, textOf, type Json } from "./envelope.ts";
import { newEtag, requireReference, sameId, type Estate, type Stored } from "./estate.ts";
import { checkAddressFree } from "./network-interfaces.ts";
import type { Put, ResourceType } from "./resource-type.ts";

const subResourceSchema = z.looseObject({ id: z.string() });
const name = z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,78}[A-Za-z0-9_])?$/);

const frontendSchema = z.looseObject({
  name,
  zones: z.array(z.string()).optional(),
  properties: z.looseObject({
    publicIPAddress: subResourceSchema.optional(),
    subnet: subResourceSchema.optional(),
    privateIPAddress: z.string().optional(),
    privateIPAllocationMethod: z.string().default("Dynamic"),
  }),
});

const poolSchema = z.looseObject({ name, properties: z.looseObject({}).default({}) });

const probeSchema = z.looseObject({
  name,
  properties: z.looseObject({
    protocol: z.enum(["Tcp", "Http", "Https"]),
    port: z.number().int().min(1).max(65_535),
    requestPath: z.string().optional(),
    intervalInSeconds: z.number().int().min(5).default(15),
    numberOfProbes: z.number().int().min(1).default(2),
    probeThreshold: z.number().int().min(1).max(100).default(1),
  }),
});

const ruleSchema = z.looseObject({
  name,
  properties: z.looseObject({
    frontendIPConfiguration: subResourceSchema,
    backendAddressPool: subResourceSchema.optional(),
    backendAddressPools: z.array(subResourceSchema).optional(),
    probe: subResourceSchema.optional(),
    protocol: z.enum(["Tcp", "Udp", "All"]),
    frontendPort: z.number().int().min(0).max(65_534),
    backendPort: z.number().int().min(0).max(65_534),
    loadDistribution: z.enum(["Default", "SourceIP", "SourceIPProtocol"]).default("Default"),
    idleTimeoutInMinutes: z.number().int().min(4).max(100).default(4),
    enableFloatingIP: z.boolean().default(false),
    enableTcpReset: z.boolean().default(false),
    disableOutboundSnat: z.boolean().default(false),
  }),
});

const outboundRuleSchema = z.looseObject({
  name,
  properties: z.looseObject({
    frontendIPConfigurations: z.array(subResourceSchema).min(1),
    backendAddressPool: subResourceSchema,
    protocol: z.enum(["Tcp", "Udp", "All"]),
    allocatedOutboundPorts: z
      .number()
      .int()
      .min(0)
      .max(64_000)
      .refine((ports) => ports % 8 === 0, "a multiple of 8")
      .default(0),
    idleTimeoutInMinutes: z.number().int().min(4).max(100).default(4),
    enableTcpReset: z.boolean().default(false),
  }),
});

const loadBalancerSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  /** Basic was retired on 30 September 2025; what is not said is Standard. */
  sku: z
    .looseObject({ name: z.string().default("Standard"), tier: z.string().default("Regional") })
    .default({ name: "Standard", tier: "Regional" }),
  properties: z.looseObject({
    frontendIPConfigurations: z.array(frontendSchema).default([]),
    backendAddressPools: z.array(poolSchema).default([]),
    probes: z.array(probeSchema).default([]),
    loadBalancingRules: z.array(ruleSchema).default([]),
    outboundRules: z.array(outboundRuleSchema).default([]),
    inboundNatRules: z.array(z.unknown()).default([]),
  }),
});

type Properties = z.output<typeof loadBalancerSchema>["properties"];
export type Rule = z.output<typeof ruleSchema>["properties"] & { backendAddressPool: { id: string } };
export type Probe = z.output<typeof probeSchema>["properties"];
type Member = Json & { id: string; name: string; properties: Json };

const type = "Microsoft.Network/loadBalancers";

export const loadBalancers = (estate: Estate): ResourceType => ({
  type,
  manner: "network",
  putInSeconds: 3,
  deleteInSeconds: 3,
  etag: "weak",
  children: [
    "frontendIPConfigurations",
    "backendAddressPools",
    "loadBalancingRules",
    "probes",
    "outboundRules",
    "inboundNatRules",
  ],
  put: ({ id, name: own, body, existing }: Put) => {
    const { location, tags, sku, properties } = parseBody(loadBalancerSchema, body);
    checkSku(sku.name, existing);
    checkFrontends(estate, { id, location, properties });
    checkProbes(properties);
    checkRules(id, properties);
    for (const pool of membersOf(existing, "backendAddressPools"))
      if (!properties.backendAddressPools.some((kept) => sameId(kept.name, pool.name))) checkPoolUnused(estate, pool);
    return {
      location,
      body: {
        name: own,
        id,
        type,
        location,
        ...(tags === undefined ? {} : { tags }),
        sku: { name: sku.name, tier: sku.tier },
        properties: {
          resourceGuid: existing?.body.properties["resourceGuid"] ?? randomUUID(),
          frontendIPConfigurations: properties.frontendIPConfigurations.map((frontend) => ({
            ...member(id, "frontendIPConfigurations", frontend),
            ...(frontend.zones === undefined ? {} : { zones: frontend.zones }),
          })),
          backendAddressPools: properties.backendAddressPools.map(({ name: pool }) =>
            member(id, "backendAddressPools", { name: pool, properties: {} }),
          ),
          probes: properties.probes.map((probe) => member(id, "probes", probe)),
          loadBalancingRules: properties.loadBalancingRules.map((rule) =>
            member(id, "loadBalancingRules", { name: rule.name, properties: withPool(rule.properties) }),
          ),
          outboundRules: properties.outboundRules.map((rule) => member(id, "outboundRules", rule)),
          inboundNatRules: [],
          inboundNatPools: [],
        },
      },
    };
  },
  present: (resource) => presented(estate, resource),
  checkDelete: (resource) => {
    for (const pool of membersOf(resource, "backendAddressPools")) checkPoolUnused(estate, pool);
  },
});

/** References and states that Network computes are dropped on the way in; they come back with `present`. */
const computed = ["backendIPConfigurations", "inboundNatRules", "inboundNatPools", "outboundRule"];

const member = (
  loadBalancerId: string,
  collection: string,
  { name: own, properties }: { name: string; properties: Json },
): Member => ({
  name: own,
  id: `${loadBalancerId}/${collection}/${own}`,
  etag: newEtag(),
  type: `${type}/${collection}`,
  properties: {
    ...Object.fromEntries(
      Object.entries(properties).filter(
        ([key]) =>
          !computed.includes(key) &&
          !(collection !== "loadBalancingRules" && (key === "loadBalancingRules" || key === "outboundRules")),
      ),
    ),
    provisioningState: "Succeeded",
  },
});

/** Azure shows both forms, whichever was written. */
const withPool = (rule: Properties["loadBalancingRules"][number]["properties"]): Json => {
  const pools = rule.backendAddressPools ?? (rule.backendAddressPool === undefined ? [] : [rule.backendAddressPool]);
  return { ...rule, backendAddressPools: pools, ...(pools[0] === undefined ? {} : { backendAddressPool: pools[0] }) };
};

function checkSku(sku: string, existing: Stored | undefined): void {
  if (sku === "Basic")
    throw new ArmError(400, "BasicSkuLoadBalancerRetired", "Basic SKU load balancers are retired and can no longer be created.");
  const before = (existing?.body["sku"] as { name?: string } | undefined)?.name;
  if (before !== undefined && before !== sku)
    throw new ArmError(400, "LoadBalancerSkuCannotBeChanged", `Load balancer sku cannot be changed from ${before} to ${sku}.`);
}

function checkFrontends(
  estate: Estate,
  { id, location, properties }: { id: string; location: string; properties: Properties },
): void {
  for (const [index, frontend] of properties.frontendIPConfigurations.entries()) {
    const { publicIPAddress, subnet } = frontend.properties;
    const path = `properties.frontendIPConfigurations[${index}].properties`;
    if ((publicIPAddress === undefined) === (subnet === undefined))
      throw new ArmError(
        400,
        "FrontendIPConfigurationMustReferenceSubnetOrPublicIP",
        `Frontend IP configuration ${id}/frontendIPConfigurations/${frontend.name} must reference either a subnet or a public IP address.`,
      );
    if (subnet !== undefined) requireReference(estate, subnet.id, { path: `${path}.subnet.id`, by: id, location });
    if (publicIPAddress === undefined) continue;
    requireReference(estate, publicIPAddress.id, { path: `${path}.publicIPAddress.id`, by: id, location });
    checkAddressFree(estate, publicIPAddress.id, `${id}/frontendIPConfigurations/${frontend.name}`);
  }
}

function checkProbes({ probes }: Properties): void {
  for (const { name: own, properties } of probes) {
    if (properties.protocol === "Tcp" && textOf(properties.requestPath) !== "")
      throw new ArmError(
        400,
        "ProbeRequestPathNotAllowedForTcp",
        `Probe ${own} has protocol Tcp; it must not have a request path.`,
      );
    if (properties.protocol !== "Tcp" && !textOf(properties.requestPath).startsWith("/"))
      throw new ArmError(
        400,
        "ProbeRequestPathMissing",
        `Probe ${own} has protocol ${properties.protocol}; it must have a request path that begins with '/'.`,
      );
  }
}

function checkRules(id: string, properties: Properties): void {
  const known = (
    collection: "frontendIPConfigurations" | "backendAddressPools" | "probes",
    asked: { id: string } | undefined,
  ) => {
    if (asked === undefined || properties[collection].some((one) => sameId(`${id}/${collection}/${one.name}`, asked.id))) return;
    throw new ArmError(
      400,
      "InvalidResourceReference",
      `Resource ${asked.id} referenced by resource ${id} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region.`,
    );
  };
  const fronts = new Map<string, string>();
  const backs = new Map<string, string>();
  for (const { name: own, properties: rule } of properties.loadBalancingRules) {
    const pools = rule.backendAddressPools ?? [rule.backendAddressPool];
    known("frontendIPConfigurations", rule.frontendIPConfiguration);
    for (const pool of pools) known("backendAddressPools", pool);
    known("probes", rule.probe);
    const front = `${rule.frontendIPConfiguration.id.toLowerCase()} ${rule.protocol} ${rule.frontendPort}`;
    const clashing = fronts.get(front);
    if (clashing !== undefined)
      throw new ArmError(
        400,
        "RulesUseSameFrontendPortProtocolAndIPConfig",
        `Load balancing rules ${clashing} and ${own} use the same frontend port ${rule.frontendPort}, protocol ${rule.protocol} and frontend IP configuration.`,
      );
    fronts.set(front, own);
    const back = `${pools.map((pool) => pool?.id.toLowerCase()).join()} ${rule.protocol} ${rule.backendPort}`;
    const sharing = backs.get(back);
    if (sharing !== undefined && !rule.enableFloatingIP)
      throw new ArmError(
        400,
        "RulesUseSameBackendPortProtocolAndPool",
        `Load balancing rules ${sharing} and ${own} with floating IP disabled use the same backend port ${rule.backendPort}, protocol ${rule.protocol} and backend address pool.`,
      );
    backs.set(back, own);
  }
  for (const { name: own, properties: rule } of properties.outboundRules) {
    known("backendAddressPools", rule.backendAddressPool);
    for (const frontend of rule.frontendIPConfigurations) known("frontendIPConfigurations", frontend);
    const sharing = properties.loadBalancingRules.find(
      ({ properties: balancing }) =>
        !balancing.disableOutboundSnat &&
        rule.frontendIPConfigurations.some((frontend) => sameId(frontend.id, balancing.frontendIPConfiguration.id)),
    );
    if (sharing !== undefined)
      throw new ArmError(
        400,
        "LoadBalancingRuleMustDisableSNATSinceSameFrontendIPConfigurationIsReferencedByOutboundRule",
        `Load balancing rule ${id}/loadBalancingRules/${sharing.name} must disable SNAT since same frontend IP configuration ${sharing.properties.frontendIPConfiguration.id} is referenced by outbound rule ${id}/outboundRules/${own}.`,
      );
  }
}

function checkPoolUnused(estate: Estate, pool: Member): void {
  const [user] = configurationsInPool(estate, pool.id);
  if (user === undefined) return;
  throw new ArmError(
    400,
    "LoadBalancerBackendAddressPoolInUseByNetworkInterface",
    `Cannot remove backend address pool ${pool.name} from load balancer since it is in use by network interface ip configuration ${user.id}.`,
  );
}

export const membersOf = (resource: Stored | undefined, collection: string): Member[] =>
  (resource?.body.properties[collection] ?? []) as Member[];

/** The ip configurations of network interfaces in a pool. */
export const configurationsInPool = (estate: Estate, poolId: string): Member[] =>
  estate
    .ofType("Microsoft.Network/networkInterfaces")
    .flatMap((networkInterface) => membersOf(networkInterface, "ipConfigurations"))
    .filter(({ properties }) => poolsOf(properties).some((id) => sameId(id, poolId)));

export const poolsOf = (configuration: Json): string[] =>
  ((configuration["loadBalancerBackendAddressPools"] ?? []) as { id: string }[]).map(({ id }) => id);

function presented(estate: Estate, resource: Stored): Json {
  const { properties } = resource.body;
  const rules = membersOf(resource, "loadBalancingRules");
  const outboundRules = membersOf(resource, "outboundRules");
  const naming = (members: Member[], property: string, id: string): Json => {
    const users = members
      .filter((one) => [one.properties[property]].flat().some((reference) => sameId((reference as Json | undefined)?.["id"], id)))
      .map((one) => ({ id: one.id }));
    const collection = members === rules ? "loadBalancingRules" : "outboundRules";
    return users.length === 0 ? {} : { [collection]: users };
  };
  return {
    ...resource.body,
    properties: {
      ...properties,
      frontendIPConfigurations: membersOf(resource, "frontendIPConfigurations").map((frontend) => ({
        ...frontend,
        properties: {
          ...frontend.properties,
          ...naming(rules, "frontendIPConfiguration", frontend.id),
          ...naming(outboundRules, "frontendIPConfigurations", frontend.id),
        },
      })),
      backendAddressPools: membersOf(resource, "backendAddressPools").map((pool) => {
        const members = configurationsInPool(estate, pool.id);
        return {
          ...pool,
          properties: {
            ...pool.properties,
            ...naming(rules, "backendAddressPools", pool.id),
            ...naming(outboundRules, "backendAddressPool", pool.id),
            ...(members.length === 0 ? {} : { backendIPConfigurations: members.map(({ id }) => ({ id })) }),
          },
        };
      }),
      probes: membersOf(resource, "probes").map((probe) => ({
        ...probe,
        properties: { ...probe.properties, ...naming(rules, "probe", probe.id) },
      })),
    },
  };
}

/** The load balancer's frontend that has a public address. */
export function frontendWith(estate: Estate, publicIpAddressId: string): { balancer: Stored; frontend: Member } | undefined {
  for (const balancer of estate.ofType(type))
    for (const frontend of membersOf(balancer, "frontendIPConfigurations"))
      if (sameId((frontend.properties["publicIPAddress"] as Json | undefined)?.["id"], publicIpAddressId))
        return { balancer, frontend };
  return undefined;
}
