/** Names of a gateway's cloud objects: admitted by Azure for every tenant, stable, and apart from each other. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { nameRules, namesOf, namesOfAddress } from "../../shared/azure/names.ts";
import { tenantIdSchema } from "../../shared/tenants/spec.ts";

const tenantIds = fc
  .stringMatching(/^[a-z][a-z0-9-]{1,38}[a-z0-9]$/)
  .filter((tenantId) => tenantIdSchema.safeParse(tenantId).success);
const sources = fc.record({
  partnerId: fc.string({ minLength: 1, maxLength: 60 }),
  tenantId: tenantIds,
  regions: fc.uniqueArray(
    fc.record({ name: fc.stringMatching(/^[a-z][a-z0-9]{2,29}$/), machines: fc.integer({ min: 1, max: 8 }) }),
    { minLength: 1, maxLength: 4, selector: ({ name }) => name },
  ),
  roles: fc.constant(["keyManager", "ucm"] as const),
});

test("every tenant of every partner in every region gets names that Azure admits", () => {
  fc.assert(
    fc.property(sources, (source) => {
      const { home, regions, roles, ...names } = namesOf(source);
      const all = [names, ...regions, ...regions.flatMap(({ machines }) => machines), ...Object.values(roles ?? {})];
      for (const [role, name] of all.flatMap((names) => Object.entries(names)))
        if (role in nameRules) expect(name).toMatch(nameRules[role as keyof typeof nameRules]);
      expect(home.resourceGroup).toBe(regions[0]?.resourceGroup);
    }),
    { numRuns: 500 },
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
      const [mine, theirs] = [one, other].map(({ regions: [region], ...owner }) => ({ ...owner, region: region?.name }));
      fc.pre(JSON.stringify(mine) !== JSON.stringify(theirs));
      const [first, second] = [uniqueIn(namesOf(one)), uniqueIn(namesOf(other))];
      for (const [index, name] of first.entries()) expect(name).not.toBe(second[index]);
    }),
  );
});

const uniqueIn = ({ vault, regions: [region] }: ReturnType<typeof namesOf>) => [
  vault,
  region?.diagnosticsAccount,
  region?.resourceGroup,
  region?.loadBalancerLabel,
  region?.machines[0]?.dnsLabel,
];

test("within a tenant no two machines share a name that must be unique", () => {
  fc.assert(
    fc.property(sources, (source) => {
      const { regions, roles, home } = namesOf(source);
      const beside = Object.values(roles ?? {});
      const labels = regions.flatMap(({ region, loadBalancerLabel, machines }) =>
        [loadBalancerLabel, ...machines.map(({ dnsLabel }) => dnsLabel)].map((label) => `${label}.${region}`),
      );
      labels.push(...beside.map(({ dnsLabel }) => `${dnsLabel}.${home.region}`));
      const computers = [...regions.flatMap(({ machines }) => machines), ...beside].map(({ computerName }) => computerName);
      expect(new Set(labels).size).toBe(labels.length);
      expect(new Set(computers).size).toBe(computers.length);
    }),
  );
});

test("a machine or a region that comes later changes no name that is there", () => {
  fc.assert(
    fc.property(sources, ({ regions, ...owner }) => {
      const [first, ...others] = regions.map((region) => ({ ...region, machines: 1 }));
      if (!first) return;
      const before = namesOf({ ...owner, regions: [first] });
      const after = namesOf({ ...owner, regions: [{ ...first, machines: 2 }, ...others] });
      expect({ ...after, regions: [{ ...after.regions[0], machines: [after.regions[0]?.machines[0]] }] }).toEqual(before);
    }),
  );
});

test("names tell a person what they are", () => {
  expect(
    namesOf({ partnerId: "northwind", tenantId: "contoso", regions: [{ name: "westeurope", machines: 2 }] }),
  ).toMatchInlineSnapshot(`
    {
      "dataCollectionAssociation": "gatehouse-contoso-pz673f",
      "dataCollectionRule": "gateway-collection",
      "diagnosticSetting": "gatehouse-contoso-pz673f",
      "exchangeWebServicesUniqueName": "gatehouse-ews-contoso-pz673f",
      "home": {
        "region": "westeurope",
        "resourceGroup": "gatehouse-contoso-westeurope-6it4m3",
      },
      "iqSuiteDatabase": "iqsuite",
      "powerShellUniqueName": "gatehouse-powershell-contoso-pz673f",
      "regions": [
        {
          "availabilitySet": "gateway-set",
          "diagnosticsAccount": "contoso6it4m3diag",
          "loadBalancer": "gateway-balancer",
          "loadBalancerAddress": "gateway-balancer-address",
          "loadBalancerLabel": "contoso-6it4m3-lb",
          "machines": [
            {
              "computerName": "gw-6it4m3-1",
              "dnsLabel": "contoso-6it4m3",
              "networkInterface": "gateway-1-interface",
              "publicIpAddress": "gateway-1-address",
              "virtualMachine": "gateway-1",
            },
            {
              "computerName": "gw-6it4m3-2",
              "dnsLabel": "contoso-6it4m3-2",
              "networkInterface": "gateway-2-interface",
              "publicIpAddress": "gateway-2-address",
              "virtualMachine": "gateway-2",
            },
          ],
          "networkSecurityGroup": "gateway-security",
          "region": "westeurope",
          "resourceGroup": "gatehouse-contoso-westeurope-6it4m3",
          "subnet": "gateways",
          "subnetSecurityGroup": "gateways-security",
          "virtualNetwork": "gateway-network",
        },
      ],
      "sqlServer": "contoso-6it4m3-sql",
      "vault": "contoso-6it4m3",
      "vmIdentity": "gateway-identity",
      "webClientDatabase": "webclient",
      "webClientUniqueName": "gatehouse-webclient-contoso-pz673f",
    }
  `);
});

test("the WebClient's application has one name in all regions", () => {
  const of = (region: string): string =>
    namesOf({ partnerId: "northwind", tenantId: "contoso", regions: [{ name: region, machines: 1 }] }).webClientUniqueName;
  expect(of("westeurope")).toBe(of("northeurope"));
});

test("another address of a machine has a name and a label that Azure admits, and that none of its others has", () => {
  fc.assert(
    fc.property(sources, fc.integer({ min: 2, max: 500 }), (source, last) => {
      const machines = namesOf(source).regions.flatMap((region) => region.machines);
      const labels = new Set<string>();
      for (const machine of machines) {
        let present = machine;
        const own = new Set([machine.publicIpAddress]);
        for (const number of [2, 3, last + 2]) {
          present = { ...present, ...namesOfAddress(present, number) };
          expect(present.dnsLabel).toMatch(nameRules.dnsLabel);
          expect(present.publicIpAddress).toMatch(nameRules.publicIpAddress);
          own.add(present.publicIpAddress);
          labels.add(present.dnsLabel);
        }
        expect(own.size).toBe(4);
      }
      expect(labels.size).toBe(machines.length * 3);
    }),
    { numRuns: 200 },
  );
});
