/** Mission A2: the manual's inbound rules (chapter 2.1), switched by what the spec names; the same list opens Azure and Windows. */
import type { Services } from "../tenants/spec.ts";

export interface OpenService {
  service: keyof Services;
  name: string;
  priority: number;
  port: number;
  protocol: "TCP" | "*";
  /** Undefined: from anywhere. Sorted, without repetition, single addresses without `/32`. */
  sources: string[] | undefined;
}

const manual: Omit<OpenService, "sources">[] = [
  { service: "rdp", name: "RDP", priority: 100, port: 3389, protocol: "TCP" },
  { service: "smtp", name: "SMTP", priority: 110, port: 25, protocol: "TCP" },
  { service: "webClient", name: "WebClient", priority: 120, port: 8099, protocol: "TCP" },
  { service: "keyManager", name: "KeyManager", priority: 121, port: 8080, protocol: "*" },
  { service: "iqSuite", name: "iQ.Suite", priority: 123, port: 8008, protocol: "TCP" },
  { service: "http", name: "HTTP", priority: 124, port: 80, protocol: "TCP" },
  { service: "https", name: "HTTPS", priority: 134, port: 443, protocol: "TCP" },
];

export const openServices = (services: Partial<Services>): OpenService[] =>
  manual.flatMap((rule) => {
    const named = services[rule.service];
    return named === undefined
      ? []
      : [{ ...rule, sources: named.sources === undefined ? undefined : canonicalSources(named.sources) }];
  });

/** Whatever either of them opens, to whomever either of them opens it. */
export function eitherOf(one: Partial<Services>, other: Partial<Services>): Partial<Services> {
  const both = { ...one, ...other };
  for (const { service } of manual) {
    const [first, second] = [one[service], other[service]];
    if (first === undefined || second === undefined) continue;
    const sources = first.sources && second.sources && canonicalSources([...first.sources, ...second.sources]);
    Object.assign(both, { [service]: sources === undefined ? {} : { sources } });
  }
  return both;
}

export const canonicalSources = (sources: readonly string[]): string[] =>
  [...new Set(sources.map((source) => source.replace(/\/32$/, "")))].sort();
