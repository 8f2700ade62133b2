/** Mission A2: the inbound rules of the security group as pure comparison; and the names of role assignments. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { assignmentName, roleDefinitions } from "../../shared/resources/role-assignment.ts";
import { type ActualNetworkSecurityGroup, networkSecurityGroup, rulesOf } from "../../shared/resources/network-security-group.ts";
import { type Services, servicesSchema } from "../../shared/tenants/spec.ts";
import type { Azure } from "../../shared/azure/client.ts";
import { eitherOf } from "../../shared/azure/services.ts";
import { networkInterface } from "../../shared/resources/network-interface.ts";

const place = {
  owner: { partnerId: "northwind", tenantId: "contoso" },
  entraTenantId: "c0ffee00-0000-4000-8000-000000000001",
  subscriptionId: "c0ffee00-0000-4000-8000-0000000000a1",
  resourceGroup: "gatehouse-contoso",
  region: "westeurope",
  name: "gateway-security",
};
// Comparing is pure: no cloud behind it.
const resource = networkSecurityGroup({ azure: {} as Azure });
const range = fc
  .tuple(fc.integer({ min: 1, max: 223 }), fc.nat({ max: 255 }), fc.integer({ min: 8, max: 32 }))
  .map(([first, second, bits]) => `${first}.${second}.0.0/${bits}`);
const open = fc.oneof(fc.constant({}), fc.record({ sources: fc.array(range, { minLength: 1, maxLength: 5 }) }));
const named = fc.record(
  {
    smtp: open,
    rdp: fc.record({ sources: fc.array(range, { minLength: 1, maxLength: 5 }) }),
    webClient: open,
    keyManager: open,
    iqSuite: open,
    http: open,
    https: open,
  },
  { requiredKeys: ["smtp"] },
);
const services = named.map((value): Services => servicesSchema.parse(value));
const actual = (of: Services): ActualNetworkSecurityGroup => ({
  id: "/id",
  region: "westeurope",
  rules: rulesOf(of),
  provisioningState: "Succeeded",
});

test("mission A2: names, priorities, ports and protocols are the manual's", () => {
  const all = servicesSchema.parse({
    rdp: { sources: ["203.0.113.7/32", "198.51.100.0/24"] },
    webClient: {},
    keyManager: {},
    iqSuite: {},
    http: {},
    https: {},
  });
  expect(
    rulesOf(all).map(({ priority, name, ports, protocol, sources }) => [priority, name, ...ports, protocol, sources.join(" ")]),
  ).toEqual([
    [100, "RDP", "3389", "TCP", "198.51.100.0/24 203.0.113.7"],
    [110, "SMTP", "25", "TCP", "*"],
    [120, "WebClient", "8099", "TCP", "*"],
    [121, "KeyManager", "8080", "*", "*"],
    [123, "iQ.Suite", "8008", "TCP", "*"],
    [124, "HTTP", "80", "TCP", "*"],
    [134, "HTTPS", "443", "TCP", "*"],
  ]);
});

test("mission A2: a service that is not named is closed; SMTP alone is what every gateway has", () => {
  expect(rulesOf(servicesSchema.parse({})).map(({ name }) => name)).toEqual(["SMTP"]);
});

test("what was written is what is desired, and any other services are a difference", () => {
  fc.assert(
    fc.property(services, services, (one, other) => {
      expect(resource.diff({ ...place, services: one }, actual(one))).toEqual([]);
      const same = JSON.stringify(rulesOf(one)) === JSON.stringify(rulesOf(other));
      expect(resource.diff({ ...place, services: one }, actual(other)).length === 0).toBe(same);
    }),
  );
});

test("a stranger's rule is drift", () => {
  const desired = servicesSchema.parse({});
  const open = {
    name: "temporary",
    priority: 200,
    direction: "Inbound",
    access: "Allow",
    protocol: "*",
    ports: ["*"],
    sources: ["*"],
    sourcePorts: ["*"],
    destinations: ["*"],
  } as const;
  const drifted = {
    ...actual(desired),
    rules: [...rulesOf(desired), { ...open, ports: ["*"], sources: ["*"], sourcePorts: ["*"], destinations: ["*"] }],
  };
  expect(resource.diff({ ...place, services: desired }, drifted)).toEqual([{ path: "rules/temporary", from: open, to: null }]);
});

test("a role assignment is named by what it grants", () => {
  const grant = {
    scope: "/subscriptions/S/vaults/V",
    principalId: "ABCDEF00-0000-4000-8000-000000000000",
    role: "Key Vault Secrets User",
  } as const;
  expect(assignmentName(grant)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(assignmentName({ ...grant, scope: grant.scope.toLowerCase(), principalId: grant.principalId.toLowerCase() })).toBe(
    assignmentName(grant),
  );
  const names = (Object.keys(roleDefinitions) as (keyof typeof roleDefinitions)[]).map((role) =>
    assignmentName({ ...grant, role }),
  );
  expect(new Set(names).size).toBe(names.length);
});

test("what either of two opens, both together open, to whomever either does, and no more", () => {
  fc.assert(
    fc.property(services, services, (one, other) => {
      const both = rulesOf(eitherOf(one, other));
      expect(new Set(both.map(({ name }) => name))).toEqual(
        new Set([...rulesOf(one), ...rulesOf(other)].map(({ name }) => name)),
      );
      for (const { name, sources } of both) {
        const named = [...rulesOf(one), ...rulesOf(other)].filter((rule) => rule.name === name).flatMap((rule) => rule.sources);
        expect(new Set(sources)).toEqual(new Set(named.includes("*") ? ["*"] : named));
      }
    }),
  );
});

test("a public address that somebody gave a machine that is to have none is found", () => {
  const network = { subnetId: "/subnets/gateways", networkSecurityGroupId: "/groups/keymanager-security" };
  const found = { id: "/id", region: place.region, ...network, poolIds: [], provisioningState: "Succeeded" };
  const { diff } = networkInterface({ azure: {} as Azure });
  expect(diff({ ...place, ...network }, { ...found, publicIpAddressId: "" })).toEqual([]);
  expect(diff({ ...place, ...network }, { ...found, publicIpAddressId: "/addresses/another" })).toEqual([
    { path: "publicIpAddressId", from: "/addresses/another", to: "" },
  ]);
});
