/** No false drift: what Exchange Online makes of a value is the same value. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  canonicalAddresses,
  canonicalFlag,
  canonicalLevel,
  canonicalList,
  canonicalSenderDomains,
  canonicalSize,
  canonicalSmartHosts,
  canonicalText,
} from "../../shared/exchange/canonical.ts";

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/);
const domain = fc.tuple(label, label).map(([name, zone]) => `${name}.${zone}.example`);
const address = fc.integer({ min: 1, max: 254 }).map((last) => `203.0.113.${last}`);
/** In another order, another case, and with repetitions. */
const disturbed = <T>(values: T[], shape: (value: T, index: number) => string): string[] => {
  const shaped = values.map(shape).map((value, index) => (index % 2 === 0 ? value.toUpperCase() : value));
  return [...shaped, ...shaped.slice(0, 1)].reverse();
};

test("sender domains are the same with address type and cost, in any order and case", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(domain, fc.constant("*"))), (domains) => {
      expect(canonicalSenderDomains(disturbed(domains, (one) => `smtp:${one};1`))).toEqual(canonicalSenderDomains(domains));
    }),
  );
});

test("another cost is another setting", () => {
  expect(canonicalSenderDomains(["smtp:contoso.example;5"])).not.toEqual(canonicalSenderDomains(["contoso.example"]));
});

test("a single address is the same as a range of one", () => {
  fc.assert(
    fc.property(fc.array(address), (addresses) => {
      expect(canonicalAddresses(disturbed(addresses, (one, index) => (index % 2 ? one : `${one}/32`)))).toEqual(
        canonicalAddresses(addresses),
      );
    }),
  );
  expect(canonicalAddresses(["203.0.113.0/24"])).toEqual(["203.0.113.0/24"]);
});

test("smart hosts are the same in brackets, with a final dot, in any order and case", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(address, domain)), (hosts) => {
      expect(canonicalSmartHosts(disturbed(hosts, (one) => (/^\d/.test(one) ? `[${one}]` : `${one}.`)))).toEqual(
        canonicalSmartHosts(hosts),
      );
    }),
  );
});

test("canonical is canonical: a second time changes nothing, and different sets stay different", () => {
  fc.assert(
    fc.property(fc.uniqueArray(domain), fc.uniqueArray(domain), (one, other) => {
      expect(canonicalList(canonicalList(one))).toEqual(canonicalList(one));
      const same = one.length === other.length && one.every((value) => other.includes(value));
      expect(JSON.stringify(canonicalList(one)) === JSON.stringify(canonicalList(other))).toBe(same);
    }),
  );
});

test("null, empty and missing are the same", () => {
  expect([canonicalList(null), canonicalList(undefined), canonicalList([])]).toEqual([[], [], []]);
  expect([canonicalFlag(null), canonicalFlag(undefined), canonicalFlag(false)]).toEqual([false, false, false]);
  expect([canonicalText(null), canonicalText(undefined), canonicalText("")]).toEqual([null, null, null]);
});

test("a size is the same in megabytes, in words with its bytes, and in bytes", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 150 }), (megabytes) => {
      const bytes = megabytes * 1024 ** 2;
      const forms = [
        `${megabytes} MB`,
        `${megabytes}MB`,
        `${megabytes} MB (${bytes.toLocaleString("en-US")} bytes)`,
        `${bytes}`,
        bytes,
      ];
      expect(forms.map(canonicalSize)).toEqual(forms.map(() => bytes));
    }),
  );
  expect([canonicalSize(null), canonicalSize(""), canonicalSize(undefined)]).toEqual([null, null, null]);
});

test("a spam confidence level is the same as number and as string", () => {
  fc.assert(
    fc.property(fc.integer({ min: -1, max: 9 }), (level) => {
      expect(canonicalLevel(level)).toBe(canonicalLevel(String(level)));
    }),
  );
});
