/** SPF records widened: nothing of anybody's is lost, one record stays one, and no limit of RFC 7208 is passed. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { missingInclude, spfCost, widenedSpf } from "../../shared/dns/spf-limits.ts";
import { characterStrings, covers, isSpf, mergeSpf, parseSpf, withoutTerms } from "../../shared/dns/spf-record.ts";
import { absent, present, unknown } from "../../shared/resources/resource.ts";

const MICROSOFT = "spf.protection.outlook.com";
const senders = { addresses: ["203.0.113.7", "203.0.113.8"], include: MICROSOFT };

/** What DNS knows: SPF records by name, and names that have addresses. */
const dns = (records: Record<string, string>, hosts: string[] = []) => ({
  texts: async (name: string) =>
    name.startsWith("silent.") ? unknown("DnsFailed", "no answer") : name in records ? present([records[name] ?? ""]) : absent,
  addresses: async (name: string) => (hosts.includes(name) ? present(["192.0.2.1"]) : absent),
  mailExchangers: async (name: string) => (hosts.includes(name) ? present([{ host: "mx.example", preference: 0 }]) : absent),
});
const published = { [MICROSOFT]: "v=spf1 ip4:52.100.0.0/24 -all" };

describe("one record", () => {
  test("a domain without one gets the manual's", () => {
    expect(mergeSpf(undefined, { ...senders, addresses: ["203.0.113.7"] })).toEqual({
      record: "v=spf1 ip4:203.0.113.7 include:spf.protection.outlook.com ~all",
      added: ["ip4:203.0.113.7", "include:spf.protection.outlook.com", "~all"],
    });
  });

  test("what is there stays, in its order; addresses go first, the include before the end", () => {
    const { record } = mergeSpf("v=spf1 a:www.contoso.example  mx ip4:198.51.100.0/24 ?all exp=why.contoso.example", senders);
    expect(record).toBe(
      "v=spf1 ip4:203.0.113.7 ip4:203.0.113.8 a:www.contoso.example mx ip4:198.51.100.0/24 include:spf.protection.outlook.com ?all exp=why.contoso.example",
    );
  });

  test.each([
    "v=spf1 ip4:203.0.113.0/24 include:spf.protection.outlook.com -all",
    "V=SPF1 mx IP4:203.0.113.7 ip4:203.0.113.8/31 INCLUDE:SPF.protection.outlook.com. -all",
    "v=spf1 ip4:203.0.113.0/28 redirect=spf.protection.outlook.com",
  ])("one that says it already is left as it is, letter by letter: %s", (record) => {
    expect(mergeSpf(record, senders)).toEqual({ record, added: [] });
  });

  test.each([
    ["after the end nothing counts", "v=spf1 -all ip4:203.0.113.7"],
    ["refused before it passes", "v=spf1 -ip4:203.0.113.0/29 ip4:203.0.113.7 -all"],
    ["a look-up may refuse it first", "v=spf1 -exists:%{i}.bad.example ip4:203.0.113.7 -all"],
    ["softly refused", "v=spf1 ~ip4:203.0.113.7 -all"],
  ])("an address that is named is not always one that passes: %s", (_, record) => {
    expect(covers(parseSpf(record), "203.0.113.7")).toBe(false);
    expect(covers(parseSpf(mergeSpf(record, senders).record), "203.0.113.7")).toBe(true);
  });

  test.each([
    "v=spf1 ipv4:203.0.113.7 -all",
    "v=spf1 ip4:203.0.113.999 -all",
    "v=spf1 ip4:203.0.113.0/33 -all",
    "v=spf1 a/40 -all",
    "v=spf1 include: -all",
    "v=spf1 all:x",
    "v=spf1 redirect=a.example redirect=b.example",
    "v=spf2 -all",
  ])("one that receivers can't read is not widened: %s", (record) =>
    expect(() => mergeSpf(record, senders)).toThrow(expect.objectContaining({ code: "SpfRecordInvalid", transient: false })),
  );

  test("a long one is several strings of 255 bytes, joined without a space", () => {
    const addresses = Array.from({ length: 40 }, (_, index) => `203.0.113.${index}`);
    const { record } = mergeSpf(undefined, { ...senders, addresses });
    const strings = characterStrings(record);
    expect(strings.length).toBeGreaterThan(2);
    expect(strings.every((one) => one.length <= 255)).toBe(true);
    expect(strings.join("")).toBe(record);
  });
});

describe("what it costs", () => {
  test("includes of includes count, what follows the end doesn't", async () => {
    const records = {
      ...published,
      "_spf.crm.example": "v=spf1 a mx include:_more.crm.example -all include:never.example",
      "_more.crm.example": `v=spf1 include:${MICROSOFT} ip4:198.51.100.0/24 ~all`,
    };
    const record = "v=spf1 a include:_spf.crm.example exists:%{i}.list.example ip6:2001:db8::/32 -all ptr";
    expect(await spfCost(dns(records, ["contoso.example", "_spf.crm.example"]), "contoso.example", record)).toEqual({
      lookUps: 7,
      voids: 0,
      terms: [
        { text: "include:_spf.crm.example", lookUps: 5 },
        { text: "a", lookUps: 1 },
        { text: "exists:%{i}.list.example", lookUps: 1 },
      ],
      included: ["_spf.crm.example", "_more.crm.example", MICROSOFT],
    });
    expect(await missingInclude(dns(records, ["contoso.example"]), "contoso.example", record, MICROSOFT)).toBeUndefined();
  });

  const contoso = (...existing: string[]) => widenedSpf(dns(records), "contoso.example", existing, senders);
  const records = {
    ...published,
    ...Object.fromEntries(Array.from({ length: 12 }, (_, one) => [`s${one}.example`, `v=spf1 ip4:192.0.2.${one} -all`])),
    "loop.example": "v=spf1 include:loop.example -all",
  };
  const including = (count: number): string =>
    `v=spf1 ${Array.from({ length: count }, (_, one) => `include:s${one}.example`).join(" ")} -all`;

  test("ten look-ups are the most, ours among them", async () => {
    await expect(contoso(including(9))).resolves.toMatchObject({ record: expect.stringContaining(MICROSOFT) });
    await expect(contoso(including(10))).rejects.toMatchObject({
      code: "SpfTooManyLookUps",
      transient: false,
      message: expect.stringMatching(/contoso\.example.*include:s0\.example \(1\)/),
    });
  });

  test.each([
    ["two records", ["v=spf1 -all", "v=spf1 ~all"], "SpfRecordsSeveral", false],
    ["one that includes itself", ["v=spf1 include:loop.example -all"], "SpfTooManyLookUps", false],
    ["three names that aren't there", ["v=spf1 a:x.example a:y.example mx:z.example -all"], "SpfTooManyVoids", false],
    ["an include without a record", ["v=spf1 include:gone.example -all"], "SpfUnreadable", false],
    ["name servers that are silent", ["v=spf1 include:silent.example -all"], "SpfUnreadable", true],
  ])("%s: nothing is written, and a person is told why", async (_, existing, code, transient) => {
    await expect(contoso(...existing)).rejects.toMatchObject({ code, transient });
  });
});

const octet = fc.integer({ min: 0, max: 255 });
const address = fc.tuple(octet, octet, octet, octet).map((octets) => octets.join("."));
const host = fc.integer({ min: 0, max: 30 }).map((number) => `s${number}.example`);
const mechanism = fc.oneof(
  address.map((one) => `ip4:${one}`),
  fc.tuple(address, fc.integer({ min: 0, max: 32 })).map(([one, prefix]) => `ip4:${one}/${prefix}`),
  host.map((name) => `include:${name}`),
  fc.constantFrom(
    "a",
    "mx",
    "a/24",
    "ptr",
    "a:s1.example",
    "mx:s2.example//64",
    "ip6:2001:db8::/32",
    "exists:%{i}.s3.example",
    "all",
    `include:${MICROSOFT}`,
  ),
);
const term = fc.oneof(
  { weight: 9, arbitrary: fc.tuple(fc.constantFrom("", "+", "-", "~", "?"), mechanism).map((parts) => parts.join("")) },
  { weight: 1, arbitrary: fc.constantFrom("exp=why.example", "unknown=thing") },
);
const terms = fc.tuple(fc.array(term, { maxLength: 14 }), fc.constantFrom("", " redirect=s4.example"));
const anyRecord = terms.map(([all, end]) => ["v=spf1", ...all].join(" ").replaceAll(/(exp=\S+) (?=.*exp=)/g, "") + end);
const wanted = fc.record({ addresses: fc.uniqueArray(address, { maxLength: 8 }), include: fc.constant(MICROSOFT) });

describe("for any record and any addresses", () => {
  const texts = (record: string): string[] => parseSpf(record).map(({ text }) => text);
  /** Whether one list is in the other, in order. */
  const within = (part: string[], whole: string[]): boolean => {
    let at = 0;
    for (const one of whole) if (one === part[at]) at++;
    return at === part.length;
  };

  test("merging loses no term, lists every address, makes one record, and a second time changes nothing", () =>
    fc.assert(
      fc.property(fc.option(anyRecord, { nil: undefined }), wanted, (existing, want) => {
        const merged = mergeSpf(existing, want);
        expect(isSpf(merged.record)).toBe(true);
        expect(merged.record.match(/v=spf1/gi)).toHaveLength(1);
        expect(within(existing === undefined ? [] : texts(existing), texts(merged.record))).toBe(true);
        expect(want.addresses.every((one) => covers(parseSpf(merged.record), one))).toBe(true);
        expect(mergeSpf(merged.record, want)).toEqual({ record: merged.record, added: [] });
      }),
    ));

  test("what was added is taken out again, and nothing else", () =>
    fc.assert(
      fc.property(anyRecord, wanted, (existing, want) => {
        const { record, added } = mergeSpf(existing, want);
        expect(texts(withoutTerms(record, added) ?? "v=spf1")).toEqual(texts(existing));
      }),
    ));

  test("old and new addresses are listed until the old ones may go", () =>
    fc.assert(
      fc.property(anyRecord, wanted, wanted, (existing, before, after) => {
        const first = mergeSpf(existing, before);
        const both = mergeSpf(first.record, after);
        const listed = parseSpf(both.record);
        expect([...before.addresses, ...after.addresses].every((one) => covers(listed, one))).toBe(true);
      }),
    ));

  test("what is written never costs more than ten look-ups and two that find nothing, or nothing is written", () =>
    fc.assert(
      fc.asyncProperty(fc.option(anyRecord, { nil: undefined }), wanted, async (existing, want) => {
        const records = Object.fromEntries(
          Array.from({ length: 31 }, (_, one) => [`s${one}.example`, `v=spf1 a:s${one}.example ~all`]),
        );
        const world = dns({ ...records, ...published }, ["contoso.example", ...Object.keys(records)]);
        const merged = await widenedSpf(world, "contoso.example", existing === undefined ? [] : [existing], want).catch(
          (error: unknown) => error,
        );
        if (merged instanceof Error) {
          expect(merged).toMatchObject({ code: expect.stringMatching(/^SpfTooMany/) });
          return;
        }
        const { record } = merged as { record: string };
        const { lookUps, voids } = await spfCost(world, "contoso.example", record);
        expect({ few: lookUps <= 10, found: voids <= 2 }).toEqual({ few: true, found: true });
      }),
    ));
});
