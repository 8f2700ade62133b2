/** The names of an address, and whether one of them leads back to it (forward-confirmed reverse DNS). */
import type { DnsResolver } from "../../shared/dns/resolver.ts";
import type { Observed } from "../../shared/resources/resource.ts";

/** What DNS gave no answer about is left undefined. */
export interface Reverse {
  reverseNames: string[] | undefined;
  forwardConfirmed: boolean | undefined;
}

export async function reverseOf(resolver: DnsResolver, address: string): Promise<Reverse> {
  const reverseNames = listOf(await resolver.reverse(address));
  return { reverseNames, forwardConfirmed: reverseNames && (await leadsBack(resolver, reverseNames, address)) };
}

/** Undefined when DNS gave no answer. */
const listOf = (names: Observed<string[]>): string[] | undefined =>
  names.state === "present" ? names.actual : names.state === "absent" ? [] : undefined;

/** Undefined when DNS gave no answer and none of the names was seen to lead back. */
async function leadsBack(resolver: DnsResolver, names: string[], address: string): Promise<boolean | undefined> {
  const forwards = await Promise.all(names.map((name) => resolver.addresses(name)));
  if (forwards.some((forward) => listOf(forward)?.includes(address))) return true;
  return forwards.some(({ state }) => state === "unknown") ? undefined : false;
}
