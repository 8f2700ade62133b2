/** What the simulated DNS knows, worked out at each question from the other simulators: nothing is kept here. */
import {
  EXCHANGE_ONLINE_RANGE,
  FRONT_END_ADDRESS,
  MX_SUFFIX,
  mxHostOf,
  OUTBOUND_ADDRESS,
  OUTBOUND_NAME,
} from "../exchange/addresses.ts";
import { OUTSIDE } from "../mail/outside.ts";
import type { Platform } from "../simulator.ts";
import { RECEIVER } from "../webhooks/index.ts";

export type RecordType = "A" | "MX" | "TXT" | "PTR" | "NS";

export interface Found {
  /** False is NXDOMAIN; true without values is "no data of this type". */
  exists: boolean;
  /** Addresses, MX hosts in order of preference, texts, or host names. */
  values: string[];
}

/** What Microsoft tells customers to publish ("Set up SPF to identify valid email sources"). */
const SPF = "v=spf1 include:spf.protection.outlook.com -all";
const SPF_HOST = "spf.protection.outlook.com";
const REVERSE = ".in-addr.arpa";
const REGISTRAR = ["ns1.registrar.example", "ns2.registrar.example"];
const AZURE_DNS = ".azure-dns.example";
const HERE = "127.0.0.1";

export function find({ organizations, peers }: Platform, askedName: string, type: RecordType): Found {
  const name = askedName.toLowerCase().replace(/\.$/, "");
  const domains = organizations
    .values()
    .flatMap((organization) => organization.domains.map((domain) => domain.name.toLowerCase()));
  const addresses = peers.publicAddresses?.() ?? [];
  const zone = new Map<RecordType, string[]>();
  const owned = domains.includes(name);
  if (owned) {
    zone.set("MX", [mxHostOf(name)]);
    zone.set("TXT", [SPF]);
    zone.set("NS", REGISTRAR);
  }
  if (domains.some((domain) => mxHostOf(domain) === name)) zone.set("A", [FRONT_END_ADDRESS]);
  if (name === SPF_HOST) zone.set("TXT", [`v=spf1 ip4:${EXCHANGE_ONLINE_RANGE} -all`]);
  if (name === OUTBOUND_NAME) zone.set("A", [OUTBOUND_ADDRESS]);
  if (name === RECEIVER) zone.set("A", [HERE]);
  if (name === OUTSIDE.name) zone.set("A", [OUTSIDE.address]);
  // Whoever a domain is delegated to, it is this server that answers.
  if (REGISTRAR.includes(name) || name.endsWith(AZURE_DNS)) zone.set("A", [HERE]);
  const hosts = addresses.filter(({ fqdn }) => fqdn?.toLowerCase() === name).map(({ address }) => address);
  if (hosts.length > 0) zone.set("A", hosts);
  if (name.endsWith(REVERSE)) {
    const address = name.slice(0, -REVERSE.length).split(".").reverse().join(".");
    const names = addresses.filter((one) => one.address === address).flatMap(({ reverseFqdn }) => reverseFqdn ?? []);
    if (address === OUTBOUND_ADDRESS) names.push(OUTBOUND_NAME);
    if (address === OUTSIDE.address) names.push(OUTSIDE.name);
    if (names.length > 0) zone.set("PTR", names);
  } else if (type === "MX" && zone.size === 0 && outside(name, domains)) zone.set("MX", [OUTSIDE.name]);
  // What somebody published in Azure DNS comes before what is made up here.
  for (const published of ["A", "MX", "TXT", "PTR", "NS"] as const) {
    const values = peers.publicRecords?.(name, published);
    if (values !== undefined) zone.set(published, values);
  }
  return { exists: zone.size > 0, values: zone.get(type) ?? [] };
}

/**
 * Whether a name is a mail domain of the rest of the world: any that is nobody's here. `.invalid` never exists (RFC 2606); a subdomain of
 * somebody's domain exists only when it is somebody's, too.
 */
const outside = (name: string, domains: string[]): boolean =>
  name.includes(".") && !name.endsWith(".invalid") && ![...domains, MX_SUFFIX].some((domain) => name.endsWith(`.${domain}`));
