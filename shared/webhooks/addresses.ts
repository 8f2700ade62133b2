/**
 * Which addresses a partner's webhook may lead to: those of the public internet, and nothing that is near us. Two judges have to agree:
 * ipaddr.js with its named ranges, and our own list (IANA's special-purpose registries, and Azure's wire server, which is public by its number).
 */
import { BlockList, isIP } from "node:net";
import ipaddr from "ipaddr.js";

const DENIED = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  // Azure's platform, seen from every machine there: DNS, health probes, the guest agent's wire server.
  "168.63.129.16/32",
  // Link-local, and with it the instance metadata service.
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/3",
  // Of IPv6 only 2000::/3 is handed out at all; within it, what carries an IPv4 address or is nobody's.
  "2001::/23",
  "2001:db8::/32",
  "2002::/16",
  "2620:4f:8000::/48",
  "3fff::/20",
];

const denied = blockListOf(DENIED);
const handedOut = blockListOf(["2000::/3"]);

/** @param allowedRanges what a cloud environment allows although it is not public, such as its own network */
export function addressAllowed(address: string, allowedRanges: readonly string[] = []): boolean {
  if (isIP(address) === 0 || address.includes("%")) return false;
  const family = isIP(address) === 4 ? "ipv4" : "ipv6";
  if (blockListOf(allowedRanges).check(address, family)) return true;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== "unicast" || denied.check(address, family)) return false;
  return family === "ipv4" || (handedOut.check(address, family) && !tunnels(parsed as ipaddr.IPv6));
}

/** ISATAP (RFC 5214): an interface identifier of 0000:5efe or 0200:5efe, and an IPv4 address behind it. */
const tunnels = ({ parts }: ipaddr.IPv6): boolean => parts[5] === 0x5efe && (parts[4] === 0 || parts[4] === 0x200);

function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network = "", bits = ""] = range.split("/");
    list.addSubnet(network, Number(bits), isIP(network) === 4 ? "ipv4" : "ipv6");
  }
  return list;
}
