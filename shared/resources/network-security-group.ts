/** Manual, chapter 2.1; mission A2: which services of the gateway can be reached, and from where. The whole list of rules is ours. */
import type { SecurityRule } from "@azure/arm-network";
import type { Azure } from "../azure/client.ts";
import {
  changesBetween,
  memberChanges,
  observeOwned,
  type Provisioned,
  provisioningStateOf,
  readBeforeWriting,
  removeOwned,
  refuseReplacement,
} from "../azure/owned.ts";
import { type Named, ownershipTags, regionName } from "../azure/place.ts";
import { canonicalSources, openServices } from "../azure/services.ts";
import type { Services } from "../tenants/spec.ts";
import type { Resource } from "./resource.ts";

export type NetworkSecurityGroup = Named & { services: Partial<Services> };

/** Canonical: sources sorted, `*` alone for everybody; rules by priority. */
export interface Rule {
  name: string;
  priority: number;
  direction: "Inbound" | "Outbound";
  access: "Allow" | "Deny";
  protocol: string;
  ports: string[];
  sources: string[];
  sourcePorts: string[];
  destinations: string[];
}

export interface ActualNetworkSecurityGroup extends Provisioned {
  id: string;
  region: string;
  rules: Rule[];
}

/** What Azure never lets change. */
const fixed = (path: string): boolean => path === "region";

export const networkSecurityGroup = ({ azure }: { azure: Azure }): Resource<NetworkSecurityGroup, ActualNetworkSecurityGroup> => {
  const what = ({ name }: NetworkSecurityGroup): string => `network security group ${name}`;
  const observe = (desired: NetworkSecurityGroup) =>
    observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => (await clients.network()).networkSecurityGroups.get(desired.resourceGroup, desired.name),
      ({ id, location, securityRules = [], provisioningState }) => ({
        id: id ?? "",
        region: regionName(location),
        rules: securityRules.map(canonical).sort(byPriority),
        provisioningState: provisioningStateOf(provisioningState),
      }),
    );
  const write = (action: string, desired: NetworkSecurityGroup, tags: Record<string, string> = {}) =>
    azure.begin(`${action} ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.network()).networkSecurityGroups.beginCreateOrUpdate(
        desired.resourceGroup,
        desired.name,
        {
          location: desired.region,
          tags: { ...tags, ...ownershipTags(desired.owner) },
          securityRules: wantedRules(desired).map(securityRule),
        },
        { onResponse },
      ),
    );

  return {
    kind: "networkSecurityGroup",
    fixed,
    observe,
    diff: ({ region, services }, { rules, ...actual }) => [
      ...changesBetween({ region }, actual),
      // A rule of a stranger may open what is meant to be closed.
      ...memberChanges("rules", byName(rulesOf(services)), byName(rules)),
    ],
    create: (desired) => write("creating", desired),
    async update(desired, changes) {
      refuseReplacement(what(desired), changes, fixed);
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.network()).networkSecurityGroups.get(desired.resourceGroup, desired.name),
      );
      return write("updating", desired, found?.tags);
    },
    remove: async (desired) =>
      removeOwned(azure, what(desired), desired, await observe(desired), async (clients, onResponse) =>
        (await clients.network()).networkSecurityGroups.beginDelete(desired.resourceGroup, desired.name, { onResponse }),
      ),
  };
};

/** The manual's names, priorities, ports and protocols, for the services that the spec names. */
export const rulesOf = (services: Partial<Services>): Rule[] =>
  openServices(services)
    .map(
      ({ name, priority, port, protocol, sources }): Rule => ({
        name,
        priority,
        direction: "Inbound",
        access: "Allow",
        protocol: protocol.toUpperCase(),
        ports: [String(port)],
        sources: sources ?? ["*"],
        sourcePorts: ["*"],
        destinations: ["*"],
      }),
    )
    .sort(byPriority);

/** A person's own rules stay as they were found. */
function wantedRules({ services, found = {} }: NetworkSecurityGroup): Rule[] {
  const rules = byName(rulesOf(services));
  for (const [path, rule] of Object.entries(found)) {
    const [, name] = /^rules\/(.+)$/.exec(path) ?? [];
    if (name === undefined) continue;
    if (rule === null) delete rules[name];
    else rules[name] = rule as Rule;
  }
  return Object.values(rules).sort(byPriority);
}

const byName = (rules: Rule[]): Record<string, Rule> => Object.fromEntries(rules.map((rule) => [rule.name, rule]));

/** Azure gives one value in the singular property and several in the plural one, whichever was written. */
const canonical = (rule: SecurityRule): Rule => ({
  name: rule.name ?? "",
  priority: rule.priority ?? 0,
  direction: rule.direction === "Outbound" ? "Outbound" : "Inbound",
  access: rule.access === "Deny" ? "Deny" : "Allow",
  protocol: (rule.protocol ?? "*").toUpperCase(),
  ports: listOf(rule.destinationPortRange, rule.destinationPortRanges),
  sources: everybody(canonicalSources(listOf(rule.sourceAddressPrefix, rule.sourceAddressPrefixes))),
  sourcePorts: listOf(rule.sourcePortRange, rule.sourcePortRanges),
  destinations: everybody(listOf(rule.destinationAddressPrefix, rule.destinationAddressPrefixes)),
});

const listOf = (one: string | undefined, several: string[] | undefined): string[] =>
  [...new Set([...(one === undefined || one === "" ? [] : [one]), ...(several ?? [])])].sort();

const everybody = (addresses: string[]): string[] =>
  addresses.some((address) => /^(\*|any|internet|0\.0\.0\.0\/0)$/i.test(address)) ? ["*"] : addresses;

const securityRule = (rule: Rule): SecurityRule => {
  const { name, priority, direction, access, protocol, ports, sources, sourcePorts, destinations } = rule;
  return {
    name,
    priority,
    direction,
    access,
    protocol: protocol === "*" ? "*" : `${protocol.charAt(0)}${protocol.slice(1).toLowerCase()}`,
    ...(sourcePorts.length === 1 ? { sourcePortRange: sourcePorts[0] ?? "*" } : { sourcePortRanges: sourcePorts }),
    ...(ports.length === 1 ? { destinationPortRange: ports[0] ?? "*" } : { destinationPortRanges: ports }),
    ...(destinations.length === 1
      ? { destinationAddressPrefix: destinations[0] ?? "*" }
      : { destinationAddressPrefixes: destinations }),
    ...(sources.length === 1 ? { sourceAddressPrefix: sources[0] ?? "*" } : { sourceAddressPrefixes: sources }),
  };
};

const byPriority = (one: Rule, other: Rule): number => one.priority - other.priority || one.name.localeCompare(other.name);
