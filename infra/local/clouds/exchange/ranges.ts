/** IPv4 addresses and ranges in the forms that Exchange Online takes. */
import { isIPv4 } from "node:net";
import { ARGUMENT, CmdletError } from "./answers.ts";

interface Range {
  first: number;
  last: number;
}

/** First and last address of `203.0.113.7`, `203.0.113.0/24` or `203.0.113.1-203.0.113.9`; undefined for anything else. */
export function rangeOf(text: string): Range | undefined {
  const [from = "", to] = text.split("-");
  if (to !== undefined)
    return isIPv4(from) && isIPv4(to) && numberOf(from) <= numberOf(to)
      ? { first: numberOf(from), last: numberOf(to) }
      : undefined;
  const [address = "", bits] = text.split("/");
  if (!isIPv4(address)) return undefined;
  if (bits === undefined) return { first: numberOf(address), last: numberOf(address) };
  if (!/^\d{1,2}$/.test(bits) || Number(bits) > 32) return undefined;
  const size = 2 ** (32 - Number(bits));
  const first = Math.floor(numberOf(address) / size) * size;
  return { first, last: first + size - 1 };
}

export function contains(ranges: readonly string[], address: string | undefined): boolean {
  if (address === undefined || !isIPv4(address)) return false;
  const number = numberOf(address);
  return ranges.some((text) => {
    const range = rangeOf(text);
    return range !== undefined && range.first <= number && number <= range.last;
  });
}

/** New-InboundConnector: IPv4 or CIDR /24 to /32, no IPv6, no private addresses. */
export function requireConnectorAddresses(parameter: string, values: readonly string[]): void {
  for (const value of values) {
    const range = rangeOf(value);
    if (!range || value.includes("-") || range.last - range.first > 255)
      throw new CmdletError(
        ARGUMENT,
        `The IP address or range "${value}" in parameter ${parameter} isn't valid: use an IPv4 address or a range from /24 to /32.`,
      );
    if (PRIVATE.some((one) => overlap(one, range)))
      throw new CmdletError(
        ARGUMENT,
        `The IP address "${value}" in parameter ${parameter} is a private address, which can't identify your server.`,
      );
  }
}

/** Set-HostedConnectionFilterPolicy: an address, a range of up to 256 addresses, or CIDR /24 to /32. */
export function requireFilterAddresses(parameter: string, values: readonly string[]): void {
  for (const value of values) {
    const range = rangeOf(value);
    if (!range || range.last - range.first > 255)
      throw new CmdletError(
        ARGUMENT,
        `"${value}" in parameter ${parameter} isn't valid: use an IPv4 address, a range of at most 256 addresses, or CIDR /24 to /32.`,
      );
  }
}

/** `203.0.113.7/32` is stored as `203.0.113.7`. */
export const canonicalRange = (value: string): string => value.replace(/\/32$/, "");

const numberOf = (address: string): number => address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
const overlap = (one: Range, other: Range): boolean => one.first <= other.last && other.first <= one.last;
const PRIVATE = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "224.0.0.0/3",
].map((text) => rangeOf(text) ?? { first: 0, last: 0 });
