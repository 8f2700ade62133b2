/** Which addresses Exchange Online can see our gateways come from. */
import { BlockList, isIPv4 } from "node:net";
import { ControlPlaneError } from "../errors.ts";

// RFC 1918, 6598, 3927, 1122, 5771, 1112: never seen as a source on the internet.
const unroutable = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["224.0.0.0", 3],
] as const)
  unroutable.addSubnet(network, prefix, "ipv4");

/**
 * Gives the addresses back, or says which one can't be the source of a gateway's mail. IPv4 only, single or /24 to /32: that is what
 * connectors, rules and the connection filter take. None at all is refused too: a connector without addresses identifies nobody, and a
 * rule's exception without addresses excepts nothing.
 */
export function publicAddresses(addresses: readonly string[]): string[] {
  if (addresses.length === 0) throw refusal("EgressAddressMissing", "no address is named that the gateway's mail comes from");
  for (const address of addresses) {
    const [network = "", prefix = "32", ...rest] = address.split("/");
    if (!isIPv4(network) || rest.length > 0 || !/^(2[4-9]|3[0-2])$/.test(prefix))
      throw refusal("EgressAddressInvalid", `${address} is neither an IPv4 address nor a range of /24 to /32`);
    if (unroutable.check(network, "ipv4"))
      throw refusal("EgressAddressPrivate", `${address} is a private address: Exchange Online sees the gateway's public one`);
  }
  return [...addresses];
}

const refusal = (code: string, message: string): ControlPlaneError =>
  new ControlPlaneError(code, message, 400, false, { target: "egressIps" });
