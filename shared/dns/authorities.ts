/** Asks the name servers that a domain is delegated to, each of them: no cache stands between, and none of them may lag behind. */
import { isDeepStrictEqual } from "node:util";
import { absent, type Observed, present, unknown } from "../resources/resource.ts";
import { createResolver, type DnsResolver } from "./resolver.ts";

export type Authorities = Pick<DnsResolver, "texts" | "mailExchangers">;

export interface AuthoritiesOptions {
  /** Finds the servers. */
  resolver: Pick<DnsResolver, "nameServers" | "addresses">;
  port?: number | undefined;
  timeoutInSeconds?: number;
}

/** Servers that differ are unknown, with code NameServersDiffer: what is published is not yet, or no longer, everywhere. */
export function createAuthorities({ resolver, port = 53, timeoutInSeconds = 2 }: AuthoritiesOptions): Authorities {
  async function everywhere<Answer>(
    domain: string,
    ask: (server: DnsResolver) => Promise<Observed<Answer>>,
  ): Promise<Observed<Answer>> {
    const servers = await serversOf(resolver, domain);
    if (servers.state !== "present") return servers;
    const answers = await Promise.all(
      servers.actual.map((address) => ask(createResolver({ servers: [`${address}:${port}`], timeoutInSeconds }))),
    );
    const [first = absent, ...others] = answers;
    const silent = answers.find(({ state }) => state === "unknown");
    if (silent) return silent;
    return others.every((other) => isDeepStrictEqual(other, first))
      ? first
      : unknown("NameServersDiffer", `the name servers of ${domain} give different answers`);
  }

  return {
    texts: (name) =>
      everywhere(name, async (server) => {
        const texts = await server.texts(name);
        // Servers give the records of a name in any order.
        return texts.state === "present" ? present(texts.actual.toSorted()) : texts;
      }),
    mailExchangers: (domain) => everywhere(domain, (server) => server.mailExchangers(domain)),
  };
}

/** Addresses of the servers of the zone that the domain is in: its own, or the nearest above it. */
async function serversOf(resolver: AuthoritiesOptions["resolver"], domain: string): Promise<Observed<string[]>> {
  const names = await resolver.nameServers(domain);
  if (names.state === "unknown") return names;
  if (names.state === "absent") {
    const above = domain.slice(domain.indexOf(".") + 1);
    return above.includes(".") ? serversOf(resolver, above) : absent;
  }
  const addresses: string[] = [];
  for (const answer of await Promise.all(names.actual.map((name) => resolver.addresses(name)))) {
    if (answer.state === "unknown") return answer;
    if (answer.state === "present") addresses.push(...answer.actual);
  }
  return addresses.length > 0
    ? present([...new Set(addresses)].sort())
    : unknown("DnsFailed", `no name server of ${domain} has an IPv4 address`);
}
