/** Microsoft.Network/networkSecurityGroups, and which traffic one admits. */
import { randomUUID } from "node:crypto";
import { BlockList, isIPv4 } from "node:net";
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, type Json } from "./envelope.ts";
import { newEtag, sameId, type Estate, type Stored } from "./estate.ts";
import type { Put, ResourceType } from "./resource-type.ts";

const securityRuleSchema = z.looseObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,78}[A-Za-z0-9_]?$/),
  properties: z.looseObject({
    protocol: z.string(),
    sourcePortRange: z.string().optional(),
    sourcePortRanges: z.array(z.string()).optional(),
    destinationPortRange: z.string().optional(),
    destinationPortRanges: z.array(z.string()).optional(),
    sourceAddressPrefix: z.string().optional(),
    sourceAddressPrefixes: z.array(z.string()).optional(),
    destinationAddressPrefix: z.string().optional(),
    destinationAddressPrefixes: z.array(z.string()).optional(),
    access: z.enum(["Allow", "Deny"]),
    priority: z.number(),
    direction: z.enum(["Inbound", "Outbound"]),
  }),
});

type SecurityRule = z.output<typeof securityRuleSchema>;

const networkSecurityGroupSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({ securityRules: z.array(securityRuleSchema).default([]) }).default({ securityRules: [] }),
});

const type = "Microsoft.Network/networkSecurityGroups";

export const networkSecurityGroups = (estate: Estate): ResourceType => ({
  type,
  manner: "network",
  putInSeconds: 3,
  deleteInSeconds: 3,
  etag: "weak",
  children: ["securityRules", "defaultSecurityRules"],
  put: ({ id, name, body, existing }: Put) => {
    const { location, tags, properties } = parseBody(networkSecurityGroupSchema, body);
    checkRules(properties.securityRules);
    return {
      location,
      body: {
        name,
        id,
        type,
        location,
        ...(tags === undefined ? {} : { tags }),
        properties: {
          resourceGuid: existing?.body.properties["resourceGuid"] ?? randomUUID(),
          securityRules: properties.securityRules.map((rule) => ruleBody(id, "securityRules", rule)),
          defaultSecurityRules: defaultRules.map((rule) => ruleBody(id, "defaultSecurityRules", rule)),
        },
      },
    };
  },
  present: (resource) => {
    const networkInterfaces = interfacesOf(estate, resource).map(({ id }) => ({ id }));
    const subnets = subnetsOf(estate, resource);
    return {
      ...resource.body,
      properties: {
        ...resource.body.properties,
        ...(networkInterfaces.length === 0 ? {} : { networkInterfaces }),
        ...(subnets.length === 0 ? {} : { subnets }),
      },
    };
  },
  checkDelete: (resource) => {
    const users = [...interfacesOf(estate, resource), ...subnetsOf(estate, resource)].map(({ id }) => id);
    if (users.length === 0) return;
    throw new ArmError(
      400,
      "InUseNetworkSecurityGroupCannotBeDeleted",
      `Network security group ${resource.id} cannot be deleted because it is in use by the following resources: ${users.join(", ")}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg.`,
    );
  },
});

function checkRules(rules: SecurityRule[]): void {
  const taken = new Map<string, string>();
  for (const { name, properties } of rules) {
    const { priority, direction } = properties;
    if (!Number.isInteger(priority) || priority < 100 || priority > 4096)
      throw new ArmError(
        400,
        "SecurityRuleInvalidPriority",
        `Security rule has invalid Priority. Value provided: ${priority} Allowed range 100-4096.`,
      );
    const other = taken.get(`${direction}/${priority}`);
    if (other !== undefined)
      throw new ArmError(
        400,
        "SecurityRuleConflict",
        `Security rule ${name} conflicts with rule ${other}. Rules cannot have the same Priority and Direction.`,
      );
    taken.set(`${direction}/${priority}`, name);
    if (!["tcp", "udp", "icmp", "esp", "ah", "*"].includes(properties.protocol.toLowerCase()))
      throw new ArmError(
        400,
        "SecurityRuleInvalidProtocol",
        `Security rule has invalid Protocol. Value provided: ${properties.protocol}.`,
      );
    checkPorts(name, "DestinationPortRange", portsOf(properties.destinationPortRange, properties.destinationPortRanges));
    checkPorts(name, "SourcePortRange", portsOf(properties.sourcePortRange, properties.sourcePortRanges));
    checkPrefixes(name, "SourceAddressPrefix", portsOf(properties.sourceAddressPrefix, properties.sourceAddressPrefixes));
    checkPrefixes(
      name,
      "DestinationAddressPrefix",
      portsOf(properties.destinationAddressPrefix, properties.destinationAddressPrefixes),
    );
  }
}

const portsOf = (one: string | undefined, many: string[] | undefined): string[] => [
  ...(one === undefined ? [] : [one]),
  ...(many ?? []),
];

function checkPorts(rule: string, parameter: string, ranges: string[]): void {
  const fits = (range: string): boolean => {
    const [from, to = from] = range.split("-");
    const valid = (port: string | undefined): boolean => /^\d{1,5}$/.test(port ?? "") && Number(port) <= 65_535;
    return range === "*" || (valid(from) && valid(to) && Number(from) <= Number(to));
  };
  if (ranges.length > 0 && ranges.every(fits)) return;
  throw new ArmError(
    400,
    "SecurityRuleInvalidPortRange",
    `Security rule ${rule} has invalid Port range. Value provided: ${ranges.join(",")}. Value should be an integer OR integer range with '-' delimiter. Valid range 0-65535. Parameter: ${parameter}.`,
  );
}

function checkPrefixes(rule: string, parameter: string, prefixes: string[]): void {
  const fits = (prefix: string): boolean => {
    const [address = "", bits] = prefix.split("/");
    return (
      prefix === "*" ||
      /^[A-Za-z][A-Za-z0-9.]*$/.test(prefix) ||
      (isIPv4(address) && (bits === undefined || (/^\d+$/.test(bits) && Number(bits) <= 32)))
    );
  };
  if (prefixes.length > 0 && prefixes.every(fits)) return;
  throw new ArmError(
    400,
    "SecurityRuleInvalidAddressPrefix",
    `Security rule ${rule} has invalid Address prefix. Value provided: ${prefixes.join(",")}. Parameter: ${parameter}.`,
  );
}

const ruleBody = (groupId: string, collection: string, rule: SecurityRule): Json => ({
  name: rule.name,
  id: `${groupId}/${collection}/${rule.name}`,
  etag: newEtag(),
  type: `${type}/${collection}`,
  properties: {
    sourcePortRanges: [],
    destinationPortRanges: [],
    sourceAddressPrefixes: [],
    destinationAddressPrefixes: [],
    ...rule.properties,
    provisioningState: "Succeeded",
  },
});

const defaultRule = (
  name: string,
  direction: "Inbound" | "Outbound",
  priority: number,
  access: "Allow" | "Deny",
  [source, destination]: [string, string],
): SecurityRule => ({
  name,
  properties: {
    description: name,
    protocol: "*",
    sourcePortRange: "*",
    destinationPortRange: "*",
    sourceAddressPrefix: source,
    destinationAddressPrefix: destination,
    access,
    priority,
    direction,
  },
});

/** The six rules of every group. Source: Microsoft's "Network security groups", default security rules. */
const defaultRules: SecurityRule[] = [
  defaultRule("AllowVnetInBound", "Inbound", 65_000, "Allow", ["VirtualNetwork", "VirtualNetwork"]),
  defaultRule("AllowAzureLoadBalancerInBound", "Inbound", 65_001, "Allow", ["AzureLoadBalancer", "*"]),
  defaultRule("DenyAllInBound", "Inbound", 65_500, "Deny", ["*", "*"]),
  defaultRule("AllowVnetOutBound", "Outbound", 65_000, "Allow", ["VirtualNetwork", "VirtualNetwork"]),
  defaultRule("AllowInternetOutBound", "Outbound", 65_001, "Allow", ["*", "Internet"]),
  defaultRule("DenyAllOutBound", "Outbound", 65_500, "Deny", ["*", "*"]),
];

const interfacesOf = (estate: Estate, group: Stored): Stored[] =>
  estate
    .ofType("Microsoft.Network/networkInterfaces")
    .filter(({ body }) => sameId((body.properties["networkSecurityGroup"] as Json | undefined)?.["id"], group.id));

const subnetsOf = (estate: Estate, group: Stored): { id: string }[] =>
  estate
    .ofType("Microsoft.Network/virtualNetworks")
    .flatMap(({ body }) => body.properties["subnets"] as (Json & { id: string; properties: Json })[])
    .filter(({ properties }) => sameId((properties["networkSecurityGroup"] as Json | undefined)?.["id"], group.id))
    .map(({ id }) => ({ id }));

/** Whether TCP from a public address to a port comes through, by the first rule in order of priority that fits. */
export function admits(group: Stored, port: number, source: string): boolean {
  const rules = [
    ...(group.body.properties["securityRules"] as Json[]),
    ...(group.body.properties["defaultSecurityRules"] as Json[]),
  ]
    .map((rule) => rule["properties"] as SecurityRule["properties"])
    .filter(({ direction }) => direction === "Inbound")
    .toSorted((a, b) => a.priority - b.priority);
  const deciding = rules.find(
    (rule) =>
      ["tcp", "*"].includes(rule.protocol.toLowerCase()) &&
      portsOf(rule.destinationPortRange, rule.destinationPortRanges).some((range) => portWithin(range, port)) &&
      portsOf(rule.sourceAddressPrefix, rule.sourceAddressPrefixes).some((prefix) => addressWithin(prefix, source)),
  );
  return deciding?.access === "Allow";
}

const portWithin = (range: string, port: number): boolean => {
  const [from, to = from] = range.split("-").map(Number);
  return range === "*" || (from !== undefined && to !== undefined && port >= from && port <= to);
};

/** The address of Azure's own services on each host; probes of load balancers come from there. */
const AZURE_ADDRESS = "168.63.129.16";

/** Of the service tags only `Internet` holds public addresses, and `AzureLoadBalancer` the source of probes. */
export const addressWithin = (prefix: string, address: string): boolean => {
  if (prefix === "*" || prefix === "0.0.0.0/0") return true;
  if (prefix.toLowerCase() === "internet") return address !== AZURE_ADDRESS;
  if (prefix.toLowerCase() === "azureloadbalancer") return address === AZURE_ADDRESS;
  const [network = "", bits = "32"] = prefix.split("/");
  if (!isIPv4(network) || !isIPv4(address)) return false;
  const list = new BlockList();
  list.addSubnet(network, Number(bits));
  return list.check(address);
};

/** `POST /azure/security-rules`: somebody narrows who may come in by the rules for one port. */
export const narrowedSchema = z.strictObject({ subscriptionId: z.guid(), port: z.string(), source: z.string() });

/** Answers the ids of the groups that have such a rule. */
export function narrowByHand(estate: Estate, { subscriptionId, port, source }: z.output<typeof narrowedSchema>): string[] {
  const mine = estate
    .ofType(type)
    .filter(({ id }) => id.toLowerCase().startsWith(`/subscriptions/${subscriptionId.toLowerCase()}/`));
  return mine.flatMap((group): string[] => {
    const rules = group.body.properties["securityRules"] as { properties: Json }[];
    const meant = rules.filter(
      ({ properties }) => properties["destinationPortRange"] === port && properties["direction"] === "Inbound",
    );
    if (meant.length === 0) return [];
    const securityRules = rules.map((rule) =>
      meant.includes(rule)
        ? { ...rule, properties: { ...rule.properties, sourceAddressPrefix: source, sourceAddressPrefixes: [] } }
        : rule,
    );
    estate.save({ ...group, body: { ...group.body, properties: { ...group.body.properties, securityRules } } });
    return [group.id];
  });
}
