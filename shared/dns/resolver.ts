/** Asks the domain name system; a name that the servers say doesn't exist is absent, a question without an answer is unknown. */
import { Resolver } from "node:dns/promises";
import { isIPv4 } from "node:net";
import { absent, type Observed, present, unknown } from "../resources/resource.ts";

export interface DnsResolver {
  /** IPv4 addresses of a name, aliases followed. */
  addresses(name: string): Promise<Observed<string[]>>;
  /** Addresses of both families; unknown while either is. */
  everyAddress(name: string): Promise<Observed<string[]>>;
  /** By preference, the best first. A domain that says that it takes no mail (RFC 7505) has none. */
  mailExchangers(domain: string): Promise<Observed<{ host: string; preference: number }[]>>;
  /** Names of an IPv4 address. */
  reverse(address: string): Promise<Observed<string[]>>;
  /** TXT records, the strings of each joined (RFC 7208, 3.3). */
  texts(name: string): Promise<Observed<string[]>>;
  /** Names of the servers that a domain is delegated to. */
  nameServers(domain: string): Promise<Observed<string[]>>;
}

export interface DnsResolverOptions {
  /** `address[:port]`; empty for the system's own. */
  servers: string[];
  timeoutInSeconds?: number;
}

export function createResolver({ servers, timeoutInSeconds = 5 }: DnsResolverOptions): DnsResolver {
  const resolver = new Resolver({ timeout: timeoutInSeconds * 1000, tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  return {
    addresses: (name) => asked(name, () => resolver.resolve4(name)),
    everyAddress: async (name) => {
      const [four, six] = await Promise.all([
        asked(name, () => resolver.resolve4(name)),
        asked(name, () => resolver.resolve6(name)),
      ]);
      if (four.state === "unknown") return four;
      if (six.state === "unknown") return six;
      if (four.state === "absent") return six;
      return six.state === "absent" ? four : present([...four.actual, ...six.actual]);
    },
    mailExchangers: (domain) =>
      asked(domain, async () =>
        (await resolver.resolveMx(domain))
          .filter(({ exchange }) => exchange !== "" && exchange !== ".")
          .map(({ exchange, priority }) => ({ host: exchange.toLowerCase(), preference: priority }))
          .sort((one, other) => one.preference - other.preference || one.host.localeCompare(other.host)),
      ),
    // Not by `resolver.reverse`: that takes a name server's failure for "no such name".
    reverse: (address) => asked(address, () => resolver.resolvePtr(reverseName(address))),
    texts: (name) => asked(name, async () => (await resolver.resolveTxt(name)).map((strings) => strings.join(""))),
    nameServers: (domain) =>
      asked(domain, async () => (await resolver.resolveNs(domain)).map((name) => name.toLowerCase()).sort()),
  };
}

/** RFC 1035, 3.5. */
function reverseName(address: string): string {
  if (!isIPv4(address)) throw new TypeError(`${address} is no IPv4 address`);
  return `${address.split(".").reverse().join(".")}.in-addr.arpa`;
}

async function asked<T>(name: string, ask: () => Promise<T>): Promise<Observed<T>> {
  try {
    return present(await ask());
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    // NXDOMAIN, and a name without records of the kind: the two answers that say no.
    if (code === "ENOTFOUND" || code === "ENODATA") return absent;
    if (code === "") throw error;
    return unknown("DnsFailed", `the name servers gave no answer for ${name} (${code})`);
  }
}
