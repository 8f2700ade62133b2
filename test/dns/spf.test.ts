/** Addresses by SPF: includes followed, loops and floods refused, a silent server told from a missing record. */
import { expect, test } from "vitest";
import type { DnsResolver } from "../../shared/dns/resolver.ts";
import { spfRanges } from "../../shared/dns/spf.ts";
import { absent, present, unknown } from "../../shared/resources/resource.ts";

/** A resolver's answers, by name; a name that isn't there doesn't exist. */
const resolver = (records: Record<string, string[] | "silent">): DnsResolver => ({
  texts: async (name) => {
    const found = records[name];
    if (found === "silent") return unknown("DnsUnanswered", "no server answered");
    return found === undefined ? absent : present(found);
  },
  addresses: async () => absent,
  everyAddress: async () => absent,
  mailExchangers: async () => absent,
  reverse: async () => absent,
  nameServers: async () => absent,
});

test("ranges of a record and of those it includes are given once, sorted", async () => {
  const records = {
    "spf.contoso.example": ["unrelated", "v=spf1 ip4:203.0.113.0/24 include:more.contoso.example -all"],
    "more.contoso.example": ["v=spf1 ip6:2001:db8::/32 ip4:198.51.100.7 ip4:203.0.113.0/24 include:spf.contoso.example ~all"],
  };
  expect(await spfRanges(resolver(records), "spf.contoso.example")).toEqual(["198.51.100.7", "203.0.113.0/24"]);
});

test.each([
  ["no record", { "spf.contoso.example": ["hello"] }, false, /has no SPF record/],
  ["two records", { "spf.contoso.example": ["v=spf1 -all", "v=spf1 ~all"] }, false, /more than one/],
  ["no address", { "spf.contoso.example": ["v=spf1 -all"] }, false, /allows no IPv4 address/],
  ["a silent server", { "spf.contoso.example": "silent" as const }, true, /no server answered/],
])("%s is said, and only a silent server is worth another try", async (_, records, transient, message) => {
  await expect(spfRanges(resolver(records), "spf.contoso.example")).rejects.toMatchObject({
    code: "SpfUnreadable",
    transient,
    message: expect.stringMatching(message),
  });
});

test("a record that includes ever more records is refused", async () => {
  const records = Object.fromEntries(
    Array.from({ length: 20 }, (_, index) => [
      `s${index}.example`,
      [`v=spf1 ip4:192.0.2.${index} include:s${index + 1}.example -all`],
    ]),
  );
  await expect(spfRanges(resolver(records), "s0.example")).rejects.toMatchObject({
    message: expect.stringMatching(/more than ten/),
  });
});
