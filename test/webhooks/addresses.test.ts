/** A webhook never reaches what is near us, however the address is written or hidden; the oracle here is IANA's table in plain numbers. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { addressAllowed } from "../../shared/webhooks/addresses.ts";
import { publicTargets, targetProblem } from "../../shared/webhooks/target.ts";

const numberOf = (address: string): number => address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
const dotted = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");

/** First and last address of what is not the public internet (IANA IPv4 Special-Purpose Address Registry, multicast, class E, Azure). */
const special: [string, string][] = [
  ["0.0.0.0", "0.255.255.255"],
  ["10.0.0.0", "10.255.255.255"],
  ["100.64.0.0", "100.127.255.255"],
  ["127.0.0.0", "127.255.255.255"],
  ["168.63.129.16", "168.63.129.16"],
  ["169.254.0.0", "169.254.255.255"],
  ["172.16.0.0", "172.31.255.255"],
  ["192.0.0.0", "192.0.0.255"],
  ["192.0.2.0", "192.0.2.255"],
  ["192.31.196.0", "192.31.196.255"],
  ["192.52.193.0", "192.52.193.255"],
  ["192.88.99.0", "192.88.99.255"],
  ["192.168.0.0", "192.168.255.255"],
  ["192.175.48.0", "192.175.48.255"],
  ["198.18.0.0", "198.19.255.255"],
  ["198.51.100.0", "198.51.100.255"],
  ["203.0.113.0", "203.0.113.255"],
  ["224.0.0.0", "255.255.255.255"],
];
const isSpecial = (value: number): boolean =>
  special.some(([first, last]) => value >= numberOf(first) && value <= numberOf(last));

const anyAddress = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const specialAddress = fc
  .constantFrom(...special)
  .chain(([first, last]) => fc.integer({ min: numberOf(first), max: numberOf(last) }));
const hex = (value: number): string => `${(value >>> 16).toString(16)}:${(value & 0xffff).toString(16)}`;

test("an IPv4 address is allowed exactly when it is in no special range", () => {
  fc.assert(
    fc.property(fc.oneof(anyAddress, specialAddress), (value) => {
      expect(addressAllowed(dotted(value))).toBe(!isSpecial(value));
    }),
  );
  // Both edges of each range, and their neighbours.
  for (const [first, last] of special)
    for (const value of [numberOf(first) - 1, numberOf(first), numberOf(last), numberOf(last) + 1])
      if (value >= 0 && value < 2 ** 32)
        expect([dotted(value), addressAllowed(dotted(value))]).toEqual([dotted(value), !isSpecial(value)]);
});

test("no IPv6 address that carries an IPv4 one is allowed, whichever one it carries", () => {
  const carriers: ((value: number) => string)[] = [
    (value) => `::ffff:${dotted(value)}`,
    (value) => `::ffff:${hex(value)}`,
    (value) => `::${dotted(value)}`,
    (value) => `::ffff:0:${dotted(value)}`,
    (value) => `64:ff9b::${dotted(value)}`,
    (value) => `64:ff9b:1::${hex(value)}`,
    (value) => `2002:${hex(value)}::1`,
    (value) => `2001:0:${hex(value)}:0:0:0:0`,
    (value) => `2606:4700::5efe:${dotted(value)}`,
    (value) => `2606:4700::200:5efe:${dotted(value)}`,
  ];
  fc.assert(
    fc.property(fc.oneof(anyAddress, specialAddress), fc.constantFrom(...carriers), (value, carry) => {
      expect([carry(value), addressAllowed(carry(value))]).toEqual([carry(value), false]);
    }),
  );
});

test("of IPv6 only what is handed out is allowed", () => {
  const refused = ["::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "100::1", "5f00::1"];
  const refusedToo = ["2001:db8::1", "2001:2::1", "2001:10::1", "2001:20::1", "3fff::1", "2620:4f:8000::1", "4000::1", "e000::1"];
  const allowed = ["2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:80b::200e"];
  expect([...refused, ...refusedToo].filter((address) => addressAllowed(address))).toEqual([]);
  expect(allowed.filter((address) => !addressAllowed(address))).toEqual([]);
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      const first = Number.parseInt(address.split(":")[0] || "0", 16);
      if (first < 0x2000 || first > 0x3fff) expect(addressAllowed(address)).toBe(false);
    }),
  );
});

test("what is no address is not allowed, and a cloud environment may allow its own network", () => {
  for (const text of ["", "localhost", "1.2.3", "0x7f.1", "127.1", "1.2.3.4.5", "contoso.example", "[::1]"])
    expect([text, addressAllowed(text)]).toEqual([text, false]);
  expect(addressAllowed("10.1.2.3", ["10.1.0.0/16"])).toBe(true);
  expect(addressAllowed("10.2.2.3", ["10.1.0.0/16"])).toBe(false);
  expect(addressAllowed("fd00::1", ["10.1.0.0/16", "fd00::/8"])).toBe(true);
});

test("a URL names a host in public DNS by HTTPS and port 443", () => {
  const good = [
    "https://hooks.contoso.example/in?key=1",
    "https://hooks.contoso.example:443/",
    "https://xn--bcher-kva.example/a",
  ];
  expect(good.map((url) => targetProblem(url, publicTargets))).toEqual(good.map(() => undefined));
  const bad = [
    "http://hooks.contoso.example/",
    "ftp://hooks.contoso.example/",
    "file:///etc/passwd",
    "hooks.contoso.example",
    "https://hooks.contoso.example:8443/",
    "https://hooks.contoso.example:80/",
    "https://user@hooks.contoso.example/",
    "https://user:secret@hooks.contoso.example/",
    "https://hooks.contoso.example/#part",
    "https://localhost/",
    "https://app.localhost/",
    "https://hooks/",
    "https://hooks.local/",
    "https://metadata.google.internal/",
    "https://router.home.arpa/",
    "https://hooks.contoso.example./",
    "https://-hooks.contoso.example/",
    `https://${"a".repeat(64)}.example/`,
    `https://hooks.contoso.example/${"a".repeat(2048)}`,
  ];
  expect(bad.filter((url) => targetProblem(url, publicTargets) === undefined)).toEqual([]);
});

test("no way of writing an address passes for a name", () => {
  const octal = (value: number): string => [24, 16, 8, 0].map((shift) => `0${((value >>> shift) & 255).toString(8)}`).join(".");
  const circled = (text: string): string =>
    text.replace(/[1-9]/g, (digit) => String.fromCodePoint(0x2460 + Number(digit) - 1)).replaceAll("0", "\u24ea");
  const wide = (text: string): string =>
    text.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))).replaceAll(".", "\u3002");
  const writings: ((value: number) => string)[] = [
    dotted,
    String,
    (value) => `0x${value.toString(16)}`,
    (value) => `0${value.toString(8)}`,
    octal,
    (value) => `0x${(value >>> 24).toString(16)}.${value & 0xffffff}`,
    (value) => `${dotted(value)}.`,
    (value) => `[::ffff:${dotted(value)}]`,
    (value) => `[${hex(value)}::1]`,
    (value) => circled(dotted(value)),
    (value) => wide(dotted(value)),
    (value) => encodeURIComponent(dotted(value)).replaceAll(".", "%2e"),
  ];
  fc.assert(
    fc.property(fc.oneof(anyAddress, specialAddress), fc.constantFrom(...writings), (value, write) => {
      const url = `https://${write(value)}/`;
      expect([url, targetProblem(url, publicTargets) !== undefined]).toEqual([url, true]);
    }),
  );
});
