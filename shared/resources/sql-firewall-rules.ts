/**
 * Manual, chapter 1; mission A9: who reaches the databases: the gateways, each by its own address, and nobody else. The server is ours, so
 * all of its rules are: one that we don't know opens what is meant to be closed, and is drift.
 */
import type { Azure } from "../azure/client.ts";
import { memberChanges, observeOwned, type Provisioned, readFailure } from "../azure/owned.ts";
import type { Place } from "../azure/place.ts";
import { provisioningStateOfSql } from "../azure/sql.ts";
import { absent, done, type Observed, type Resource } from "./resource.ts";

export type SqlFirewallRules = Place & {
  server: string;
  /** IPv4, one rule each. */
  addresses: string[];
};

export interface ActualSqlFirewallRules extends Provisioned {
  /** By name: `{first address}-{last address}`. */
  rules: Record<string, string>;
}

/** A rule's name says whom it lets in, so that it stays the same when a machine joins. */
export const firewallRuleName = (address: string): string => `gateway-${address.replaceAll(".", "-")}`;

export const sqlFirewallRules = ({ azure }: { azure: Azure }): Resource<SqlFirewallRules, ActualSqlFirewallRules> => {
  const what = ({ server }: SqlFirewallRules): string => `firewall rules of SQL server ${server}`;

  /** A server without any has none of ours. */
  async function observe(desired: SqlFirewallRules): Promise<Observed<ActualSqlFirewallRules>> {
    const { resourceGroup, server } = desired;
    const observed = await observeOwned(
      azure,
      what(desired),
      desired,
      async (clients) => {
        const sql = await clients.sql();
        const { tags, state } = await sql.servers.get(resourceGroup, server);
        const rules: Record<string, string> = {};
        for await (const { name = "", startIpAddress, endIpAddress } of sql.firewallRules.listByServer(resourceGroup, server))
          rules[name] = `${startIpAddress}-${endIpAddress}`;
        return { ...(tags === undefined ? {} : { tags }), state, rules };
      },
      ({ state, rules }) => ({ rules, provisioningState: provisioningStateOfSql(state) }),
    );
    return observed.state === "present" && Object.keys(observed.actual.rules).length === 0 ? absent : observed;
  }

  const admit = async (desired: SqlFirewallRules, name: string, range: string): Promise<void> => {
    const [startIpAddress = "", endIpAddress = ""] = range.split("-");
    await azure.begin(`admitting ${range} in the ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.sql()).firewallRules.createOrUpdate(
        desired.resourceGroup,
        desired.server,
        name,
        { startIpAddress, endIpAddress },
        { onResponse },
      ),
    );
  };
  const close = async (desired: SqlFirewallRules, name: string): Promise<void> => {
    await azure.beginRemoval(`removing ${name} of the ${what(desired)}`, desired, async (clients, onResponse) =>
      (await clients.sql()).firewallRules.delete(desired.resourceGroup, desired.server, name, { onResponse }),
    );
  };

  return {
    kind: "sqlFirewallRules",
    observe,
    diff: ({ addresses }, { rules }) => memberChanges("rules", rangesOf(addresses), rules),
    async create(desired) {
      for (const [name, range] of Object.entries(rangesOf(desired.addresses))) await admit(desired, name, range);
      return done;
    },
    /** What lets strangers in goes first. */
    async update(desired, changes) {
      const wanted = rangesOf(desired.addresses);
      const names = changes.map(({ path }) => path.slice("rules/".length));
      for (const name of names) if (wanted[name] === undefined) await close(desired, name);
      for (const name of names) if (wanted[name] !== undefined) await admit(desired, name, wanted[name]);
      return done;
    },
    async remove(desired) {
      const observed = await observe(desired);
      if (observed.state === "unknown") throw readFailure(`the ${what(desired)} before their removal`, observed);
      if (observed.state === "present") for (const name of Object.keys(observed.actual.rules)) await close(desired, name);
      return done;
    },
  };
};

const rangesOf = (addresses: string[]): Record<string, string> =>
  Object.fromEntries(addresses.toSorted().map((address) => [firewallRuleName(address), `${address}-${address}`]));
