/** What a spec may say of the gateway's own certificate, and what follows from it for machines and connectors. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  askedOf,
  certificateRole,
  type GatewayCertificate,
  gatewayCertificate,
  knownByCertificate,
  shownBy,
  tlsCertificate,
} from "../../shared/desired/certificate.ts";
import { isUnder } from "../../shared/resources/inbound-connector.ts";
import { leftBehind } from "../../shared/tenants/left-behind.ts";
import { type TenantSpec, tenantSpecSchema } from "../../shared/tenants/spec.ts";

const base = {
  displayName: "Contoso",
  microsoft365: {
    tenantId: "c0ffee00-0000-4000-8000-000000000001",
    domains: ["contoso.example", "contoso.test"],
    probeMailbox: "probe@contoso.example",
  },
  pilot: { addresses: ["pilot@contoso.example"] },
  azure: { tenantId: "c0ffee00-0000-4000-8000-000000000001", subscriptionId: "c0ffee00-0000-4000-8000-0000000000a1" },
};
const read = (certificate?: unknown) =>
  tenantSpecSchema.safeParse({
    ...base,
    gateway: { regions: [{ name: "westeurope" }], ...(certificate === undefined ? {} : { certificate }) },
  });
const specWith = (certificate?: unknown): TenantSpec => {
  const { data, error } = read(certificate);
  if (!data) throw new Error(error?.message);
  return data;
};

const zoneId = (zone: string): string =>
  `/subscriptions/c0ffee00-0000-4000-8000-0000000000a1/resourceGroups/dns/providers/Microsoft.Network/dnsZones/${zone}`;

test("without one nothing is said of it", () => {
  expect(specWith().gateway).not.toHaveProperty("certificate");
});

test.each([
  [{ name: "gateway.fabrikam.example" }, "name", /one of the tenant's domains or a name below one/],
  [{ name: "notcontoso.example" }, "name", /one of the tenant's domains/],
  [{ name: "*.contoso.example" }, "name", /lower-case domain name/],
  [{ name: "contoso.example", issuer: "Unknown" }, "issuer", /orders nothing/],
  [{ name: "contoso.example", issuer: "an issuer" }, "issuer", /issuer's name in Key Vault/],
  [{ name: "contoso.example", acme: { zone: "contoso.example" } }, "acme.zone", /DNS zone's resource id/],
  [
    { name: "contoso.example", acme: { zone: zoneId("fabrikam.example") } },
    "acme.zone",
    /not the zone that contoso.example is in/,
  ],
  [{ name: "contoso.example", acme: { zone: zoneId("gateway.contoso.example") } }, "acme.zone", /not the zone/],
  [{ name: "contoso.example", issuer: "Self", acme: { zone: zoneId("contoso.example") } }, "acme", /leave one of the two out/],
  [{ name: "contoso.example", validation: "EncryptionOnly" }, "validation", /Invalid option/],
])("%o is refused for its %s", (certificate, field, words) => {
  const issue = read(certificate).error?.issues[0];
  expect(issue?.path).toEqual(["gateway", "certificate", ...field.split(".")]);
  expect(issue?.message).toMatch(words);
});

test("who orders certificates may make them, who looks at an import only reads", () => {
  expect(certificateRole({ spec: specWith({ name: "contoso.example", issuer: "DigiCert" }) })).toBe(
    "Key Vault Certificates Officer",
  );
  const acme = { zone: zoneId("contoso.example") };
  expect(certificateRole({ spec: specWith({ name: "gateway.contoso.example", acme }) })).toBe("Key Vault Certificates Officer");
  expect(certificateRole({ spec: specWith({ name: "contoso.example" }) })).toBe("Key Vault Reader");
});

const secret = { vaultUrl: "https://contoso-4f2a.vault.azure.net", name: "smtp-certificate", version: "0a" };
const found = {
  thumbprint: "0".repeat(40),
  secret,
  earlier: ["1".repeat(40)],
  forClients: true,
  notBefore: "2026-11-01T00:00:00.000Z",
  notAfter: "2027-11-01T00:00:00.000Z",
};
const inVault = {
  owner: { partnerId: "northwind", tenantId: "contoso" },
  entraTenantId: base.azure.tenantId,
  vaultUrl: secret.vaultUrl,
};
const made = (spec: TenantSpec, more: Partial<typeof found> = {}): GatewayCertificate => {
  const wanted = tlsCertificate({ spec }, inVault);
  if (!wanted) throw new Error("the spec has no certificate");
  return gatewayCertificate(wanted, { ...found, ...more });
};

test("machines get its name and where it is, and lose its earlier versions; connectors ask for it where it can be trusted", () => {
  const spec = specWith({ name: "gateway.contoso.example", issuer: "DigiCert" });
  const certificate = made(spec);
  expect(shownBy({ certificate })).toEqual({
    fqdn: "gateway.contoso.example",
    certificate: { thumbprint: found.thumbprint, secret, replaces: found.earlier },
  });
  expect(knownByCertificate({ certificate })).toBe(true);
  expect(askedOf({ spec }, { certificate })).toEqual({ certificate: { name: "gateway.contoso.example" } });
  const anyName = specWith({ name: "gateway.contoso.example", validation: "CertificateValidation" });
  expect(askedOf({ spec: anyName }, { certificate })).toEqual({ certificate: {} });
  expect([shownBy({}), askedOf({ spec: specWith() }, {}), knownByCertificate({})]).toEqual([undefined, {}, false]);
});

test("one that the vault signs, or that clients may not show, is no name to be known by", () => {
  const own = specWith({ name: "contoso.example", issuer: "Self" });
  expect(knownByCertificate({ certificate: made(own) })).toBe(false);
  expect(askedOf({ spec: own }, { certificate: made(own) })).toEqual({});
  const spec = specWith({ name: "contoso.example" });
  const certificate = made(spec, { forClients: false });
  expect(knownByCertificate({ certificate })).toBe(false);
  expect(askedOf({ spec }, { certificate })).toEqual({ certificate: { name: "contoso.example" } });
});

test("of a tenant that stands, the certificate can't be left out or renamed; its issuer may change", () => {
  const spec = specWith({ name: "gateway.contoso.example" });
  expect(leftBehind(spec, specWith())).toMatchObject({ target: "gateway.certificate" });
  expect(leftBehind(spec, specWith({ name: "contoso.example" }))).toMatchObject({ target: "gateway.certificate" });
  expect(leftBehind(spec, specWith({ name: "gateway.contoso.example", issuer: "GlobalSign" }))).toBeUndefined();
  expect(leftBehind(specWith(), spec)).toBeUndefined();
});

test("a name is under a domain label by label, whatever its case", () => {
  const label = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
  fc.assert(
    fc.property(
      fc.array(label, { minLength: 2, maxLength: 4 }),
      fc.array(label, { maxLength: 3 }),
      label,
      (domain, below, other) => {
        const name = [...below, ...domain].join(".");
        expect(isUnder(name.toUpperCase(), domain.join("."))).toBe(true);
        expect(isUnder(`${other}${domain.join(".")}`, domain.join("."))).toBe(false);
        expect(isUnder(domain.slice(1).join("."), domain.join("."))).toBe(false);
      },
    ),
  );
});
