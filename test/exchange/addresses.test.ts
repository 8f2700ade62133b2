/** Exchange Online sees public addresses only. */
import { expect, test } from "vitest";
import { publicAddresses } from "../../shared/exchange/addresses.ts";

test("public addresses and ranges of /24 to /32 are taken", () => {
  expect(publicAddresses(["203.0.113.7", "198.51.100.0/24", "192.0.2.1/32"])).toHaveLength(3);
});

test.each([
  ["10.1.2.3", "EgressAddressPrivate"],
  ["172.20.0.1", "EgressAddressPrivate"],
  ["192.168.1.1/32", "EgressAddressPrivate"],
  ["100.64.1.1", "EgressAddressPrivate"],
  ["127.0.0.1", "EgressAddressPrivate"],
  ["169.254.169.254", "EgressAddressPrivate"],
  ["224.0.0.1", "EgressAddressPrivate"],
  ["203.0.113.0/23", "EgressAddressInvalid"],
  ["2001:db8::1", "EgressAddressInvalid"],
  ["gateway.contoso.example", "EgressAddressInvalid"],
])("%s is refused with %s", (address, code) => {
  expect(() => publicAddresses(["203.0.113.7", address])).toThrow(
    expect.objectContaining({ code, status: 400, target: "egressIps" }),
  );
});

test("no address at all is refused: an exception without addresses excepts nothing", () => {
  expect(() => publicAddresses([])).toThrow(expect.objectContaining({ code: "EgressAddressMissing" }));
});
