/** Names of a gateway's cloud objects: admitted by Azure for every tenant, stable, and apart from each other. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Names, nameRules, namesOf } from "../../shared/azure/names.ts";
import { tenantIdSchema } from "../../shared/tenants/spec.ts";

const tenantIds = fc
  .stringMatching(/^[a-z][a-z0-9-]{1,38}[a-z0-9]$/)
  .filter((tenantId) => tenantIdSchema.safeParse(tenantId).success);
const sources = fc.record({
  partnerId: fc.string({ minLength: 1, maxLength: 60 }),
  tenantId: tenantIds,
  region: fc.stringMatching(/^[a-z][a-z0-9]{2,29}$/),
});

test("every tenant of every partner in every region gets names that Azure admits", () => {
  fc.assert(
    fc.property(sources, (source) => {
      const names = namesOf(source);
      for (const [role, rule] of Object.entries(nameRules)) expect(names[role as keyof Names]).toMatch(rule);
    }),
    { numRuns: 2000 },
  );
});

test("the same source always gives the same names", () => {
  fc.assert(
    fc.property(sources, (source) => {
      expect(namesOf({ ...source })).toEqual(namesOf(source));
    }),
  );
});

test("a name that is unique in Azure differs between partners, tenants and regions", () => {
  fc.assert(
    fc.property(sources, sources, (one, other) => {
      fc.pre(JSON.stringify(one) !== JSON.stringify(other));
      const [first, second] = [namesOf(one), namesOf(other)];
      expect([first.vault, first.dnsLabel, first.resourceGroup]).not.toEqual([
        second.vault,
        second.dnsLabel,
        second.resourceGroup,
      ]);
    }),
  );
});

test("names tell a person what they are", () => {
  expect(namesOf({ partnerId: "northwind", tenantId: "contoso", region: "westeurope" })).toMatchInlineSnapshot(`
    {
      "computerName": "gw-6it4m3-1",
      "dnsLabel": "contoso-6it4m3",
      "networkInterface": "gateway-1-interface",
      "networkSecurityGroup": "gateway-security",
      "publicIpAddress": "gateway-1-address",
      "resourceGroup": "gatehouse-contoso-westeurope-6it4m3",
      "subnet": "gateways",
      "vault": "contoso-6it4m3",
      "virtualMachine": "gateway-1",
      "virtualNetwork": "gateway-network",
      "vmIdentity": "gateway-identity",
      "webClientUniqueName": "gatehouse-webclient-contoso-pz673f",
    }
  `);
});

test("the WebClient's application has one name in all regions", () => {
  const of = (region: string): string => namesOf({ partnerId: "northwind", tenantId: "contoso", region }).webClientUniqueName;
  expect(of("westeurope")).toBe(of("northeurope"));
});
