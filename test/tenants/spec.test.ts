/** What a partner may say about a tenant, and the names that follow from whatever is valid. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Names, nameRules } from "../../shared/azure/names.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { firewallRuleName } from "../../shared/resources/sql-firewall-rules.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { tenantIdSchema, tenantSpecSchema } from "../../shared/tenants/spec.ts";

const group = "5A1B0000-0000-4000-8000-000000000001";
const administrator = { entraGroupId: group, name: "Gateway administrators" };

/** What the schema calls valid: whatever it takes has to have names. */
const specs = fc
  .record(
    {
      regions: fc.uniqueArray(
        fc.record({ name: fc.stringMatching(/^[a-z][a-z0-9]{2,29}$/), machines: fc.integer({ min: 1, max: 8 }) }),
        { minLength: 1, maxLength: 4, selector: ({ name }) => name },
      ),
      keyManager: fc.constant({ services: { keyManager: {} } }),
      database: fc.oneof(
        fc.constant({ kind: "local" }),
        fc.record(
          {
            kind: fc.constant("azureSql"),
            administrator: fc.constant(administrator),
            sku: fc.constantFrom("Basic", "S0", "S1", "S2", "S3"),
            backups: fc.constantFrom("Geo", "Zone", "Local"),
          },
          { requiredKeys: ["kind", "administrator"] },
        ),
      ),
    },
    { requiredKeys: ["regions"] },
  )
  .map(({ regions, keyManager, database }) =>
    tenantSpecSchema.parse({
      ...specWith(database),
      gateway: { regions, ...(keyManager === undefined ? {} : { keyManager }) },
    }),
  );
const tenantIds = fc.stringMatching(/^[a-z][a-z0-9-]{1,38}[a-z0-9]$/).filter((id) => tenantIdSchema.safeParse(id).success);
const tenants = fc
  .record({ partnerId: fc.string({ minLength: 1, maxLength: 60 }), id: tenantIds, spec: specs })
  .map((tenant) => ({ ...tenant, facts: {} }) as unknown as TenantRecord);

function specWith(database: unknown): Record<string, unknown> {
  return {
    displayName: "Contoso",
    microsoft365: {
      tenantId: "c0ffee00-0000-4000-8000-000000000001",
      domains: ["contoso.example"],
      probeMailbox: "probe@contoso.example",
    },
    pilot: { addresses: ["pilot@contoso.example"] },
    azure: {
      tenantId: "c0ffee00-0000-4000-8000-000000000001",
      subscriptionId: "c0ffee00-0000-4000-8000-0000000000a1",
    },
    gateway: { regions: [{ name: "westeurope" }] },
    ...(database === undefined ? {} : { database }),
  };
}

/** Roles whose objects are of one kind. */
const kinds: Record<string, string> = {
  loadBalancerAddress: "publicIpAddress",
  loadBalancerLabel: "dnsLabel",
  subnetSecurityGroup: "networkSecurityGroup",
  iqSuiteDatabase: "database",
  webClientDatabase: "database",
};

/** Every name with its role and its place among others of that role. */
const namesIn = ({ home: _home, regions, roles, ...once }: Names): { role: string; where: string; name: string }[] => {
  const of = (where: string, names: object) =>
    Object.entries(names).flatMap(([role, name]: [string, unknown]) => (typeof name === "string" ? [{ role, where, name }] : []));
  return [
    ...of("", once),
    ...regions.flatMap(({ machines, region, ...own }) => [
      ...of(region, own),
      ...machines.flatMap((machine) => of(region, machine)),
    ]),
    ...Object.values(roles ?? {}).flatMap((machine) => of(regions[0]?.region ?? "", machine)),
  ];
};

test("any valid spec gives names that Azure admits, each with its rule, and no two alike in one place", () => {
  fc.assert(
    fc.property(tenants, (tenant) => {
      const all = namesIn(targetOf(tenant).names);
      const rules: Record<string, RegExp> = nameRules;
      expect(all.filter(({ role, name }) => rules[role]?.test(name) !== true)).toEqual([]);
      const places = all.map(({ role, where, name }) => `${kinds[role] ?? role} ${where} ${name}`);
      expect(new Set(places).size).toBe(places.length);
    }),
    { numRuns: 500 },
  );
});

test("names stay what they were, whatever the spec gains, and in the stored form too", () => {
  fc.assert(
    fc.property(tenants, specs, (tenant, later) => {
      const { names } = targetOf(tenant);
      const stored = JSON.parse(JSON.stringify(names)) as Names;
      expect(stored).toEqual(names);
      expect(targetOf({ ...tenant, facts: { names: stored } })).toEqual(targetOf(tenant));
      const known = new Set(tenant.spec.gateway.regions.map(({ name }) => name));
      const regions = [...tenant.spec.gateway.regions, ...later.gateway.regions.filter(({ name }) => !known.has(name))];
      const grown = { ...tenant, spec: { ...later, gateway: { ...later.gateway, regions } }, facts: { names: stored } };
      const after = namesIn(targetOf(grown).names).map((one) => JSON.stringify(one));
      expect(namesIn(stored).filter((one) => !after.includes(JSON.stringify(one)))).toEqual([]);
    }),
  );
});

test("names that are unique in all of Azure are no other tenant's", () => {
  fc.assert(
    fc.property(tenants, tenants, (one, other) => {
      fc.pre(one.partnerId !== other.partnerId || one.id !== other.id);
      const unique = (tenant: TenantRecord): string[] =>
        namesIn(targetOf(tenant).names)
          .filter(({ role }) => ["vault", "sqlServer", "dnsLabel", "loadBalancerLabel", "resourceGroup"].includes(role))
          .map(({ role, name }) => `${role} ${name}`);
      const theirs = unique(other);
      expect(unique(one).filter((name) => theirs.includes(name))).toEqual([]);
    }),
  );
});

test("a firewall rule's name is the address's own, and one that Azure admits", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), (one, other) => {
      // Source: "Naming rules and restrictions": 1 to 128 characters, none of <>*%&:\/? and no period or blank at the end.
      expect(firewallRuleName(one)).toMatch(/^[a-z][a-z0-9-]{0,127}$/);
      expect(firewallRuleName(one) === firewallRuleName(other)).toBe(one === other);
    }),
  );
});

test("a database in Azure SQL needs its administrator, a group's object id in any case; the rest has defaults", () => {
  expect(tenantSpecSchema.parse(specWith({ kind: "azureSql", administrator })).database).toEqual({
    kind: "azureSql",
    administrator: { ...administrator, entraGroupId: group.toLowerCase() },
    sku: "S2",
    backups: "Geo",
  });
  expect(tenantSpecSchema.parse(specWith(undefined)).database).toBeUndefined();
});

test.each([
  ["azureSql", "database", /must be \{ "kind": "local" \} or/],
  [{ kind: "cloud" }, "database.kind", /must be \{ "kind": "local" \} or/],
  [{ kind: "local", administrator }, "database", /administrator/],
  [{ kind: "azureSql" }, "database.administrator", /./],
  [
    { kind: "azureSql", administrator: { ...administrator, entraGroupId: "admins" } },
    "database.administrator.entraGroupId",
    /object id of a group/,
  ],
  [{ kind: "azureSql", administrator: { ...administrator, name: " " } }, "database.administrator.name", /./],
  [{ kind: "azureSql", administrator, sku: "P15" }, "database.sku", /S2/],
  [{ kind: "azureSql", administrator, password: "Correct-Horse-7" }, "database", /password/],
])("a database that isn't one is refused where it is wrong: %j", (database, path, message) => {
  const { error } = tenantSpecSchema.safeParse(specWith(database));
  expect(error?.issues.map((issue) => issue.path.join("."))).toEqual([path]);
  expect(error?.issues[0]?.message).toMatch(message);
});
