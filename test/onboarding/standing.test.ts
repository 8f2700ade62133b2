/** What stays and what goes when a tenant's spec asks for other machines or other ways of mail: for any numbers, and any story of specs. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { namesOf } from "../../shared/azure/names.ts";
import { goingFrom, narrowed, unbalancedIn, widest } from "../../shared/desired/standing.ts";
import type { Ground } from "../../shared/desired/state.ts";
import { standingOf } from "../../shared/desired/target.ts";
import { closedWays, waysOf, waysOpened } from "../../shared/desired/ways.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

const counts = fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 })), { minLength: 1, maxLength: 4 });
const named = (machines: number[]) =>
  namesOf({
    partnerId: "northwind",
    tenantId: "contoso",
    regions: machines.map((count, index) => ({ name: `region${index}`, machines: count })),
  });
const address = (fqdn: string) => ({ id: fqdn, ipAddress: fqdn, fqdn });

test("what stands and what is wanted reach together as far as either; what goes is what is wanted no more", () => {
  fc.assert(
    fc.property(counts, (regions) => {
      const [stand, want] = [named(regions.map(([one]) => one)), named(regions.map(([, other]) => other))];
      const wide = widest(want, stand);
      expect(wide.regions.map(({ machines }) => machines.length)).toEqual(regions.map((both) => Math.max(...both)));
      expect(widest(want, wide)).toEqual(wide);
      const going = goingFrom(wide, want);
      expect(going).toHaveLength(regions.reduce((sum, [stands, wanted]) => sum + Math.max(0, stands - wanted), 0));
      for (const { region, machine } of going) expect(machine).toBeGreaterThanOrEqual(regions[region]?.[1] ?? 0);
      expect(unbalancedIn(wide, want)).toEqual(
        regions.flatMap(([stands, wanted], at) => (stands > 1 && wanted === 1 ? [at] : [])),
      );
    }),
  );
});

test("the ground of the spec's machines has their addresses, in order, and a load balancer only where there are several", () => {
  fc.assert(
    fc.property(counts, (regions) => {
      const want = named(regions.map(([, wanted]) => wanted));
      const wide = widest(want, named(regions.map(([stands]) => stands)));
      const ground = {
        regions: wide.regions.map(({ machines, region }) => ({
          machines: machines.map(({ dnsLabel }) => address(`${dnsLabel}.${region}`)),
          ...(machines.length > 1 ? { loadBalancer: address(`balancer.${region}`) } : {}),
        })),
      } as Ground;
      for (const [index, { machines, loadBalancer }] of narrowed(ground, want).regions.entries()) {
        const { region, machines: wanted } = want.regions[index] ?? { region: "", machines: [] };
        expect(machines.map(({ fqdn }) => fqdn)).toEqual(wanted.map(({ dnsLabel }) => `${dnsLabel}.${region}`));
        expect(loadBalancer?.fqdn).toBe(wanted.length > 1 ? `balancer.${region}` : undefined);
      }
    }),
  );
});

test("what accepts mail knows machines that join others before they are built where the spec has a certificate, and only there", () => {
  const certificate = { name: "gateway.contoso.example", trusted: true, forClients: true };
  const standing = (machines: number, wanted: number, proven: object, spec: object) => {
    const { regions } = named([machines]);
    const ground = { regions: regions.map((region) => ({ machines: region.machines.map(({ dnsLabel }) => address(dnsLabel)) })) };
    const gateway = { regions: [{ name: "region0", machines: wanted }], ...spec };
    const facts = { names: named([machines]), ground: { ...ground, ...proven } };
    return standingOf({ partnerId: "northwind", id: "contoso", spec: { gateway, pilot: {} }, facts } as unknown as TenantRecord);
  };
  const asked = { certificate: { name: "gateway.contoso.example" } };
  expect(standing(1, 2, {}, asked)?.knownBy).toBe("address");
  expect(standing(1, 2, { certificate: { ...certificate, trusted: false } }, asked)?.knownBy).toBe("address");
  expect(standing(2, 3, { certificate }, asked)?.knownBy).toBe("certificate");
  for (const moves of [standing(1, 2, {}, {}), standing(2, 1, { certificate }, asked)]) {
    expect(moves?.smartHosts).toBeDefined();
    expect(moves).not.toHaveProperty("knownBy");
  }
  expect(standing(2, 2, {}, asked)).toBeUndefined();
});

/** Rules of ways that a spec opens; in stage live those of the domains beside. */
const rulesOf = ({ spec: { pilot }, stage }: Pick<TenantRecord, "spec" | "stage">): string[] => [
  ...(pilot.incoming && stage === "live" ? ["incomingDomainForwardingRule"] : []),
  ...(pilot.groups && pilot.incoming ? ["incomingGroupForwardingRule"] : []),
  ...(pilot.groups ? ["groupForwardingRule"] : []),
  ...(pilot.incoming ? ["incomingForwardingRule"] : []),
];
const chapters = fc.array(
  fc.record({
    incoming: fc.boolean(),
    groups: fc.boolean(),
    /** Another spec may come before anything is done with the last one. */
    next: fc.constantFrom("nothing", "onboard", "onboard and fail", "promote", "demote"),
  }),
  { minLength: 1, maxLength: 8 },
);

test("whatever specs came before and however onboardings ended, what the spec has no more is closed, and nothing that it has", () => {
  fc.assert(
    fc.property(chapters, (story) => {
      const rules = new Set<string>();
      let tenant = { stage: "pilot", facts: {}, spec: { pilot: {} } } as unknown as TenantRecord;
      for (const { incoming, groups, next } of story) {
        const pilot = { addresses: [], ...(incoming ? { incoming } : {}), ...(groups ? { groups: ["g@contoso.example"] } : {}) };
        tenant = { ...tenant, spec: { ...tenant.spec, pilot } };
        if (next === "nothing") continue;
        if (next === "demote") {
          rules.delete("incomingDomainForwardingRule");
          tenant = { ...tenant, stage: "pilot" };
          continue;
        }
        tenant = { ...tenant, facts: { ...tenant.facts, ways: waysOpened(tenant) } };
        if (next === "promote") {
          if (incoming) rules.add("incomingDomainForwardingRule");
          tenant = { ...tenant, stage: "live" };
          continue;
        }
        for (const rule of rulesOf(tenant)) rules.add(rule);
        if (next === "onboard and fail") continue;
        for (const closed of closedWays(tenant)) {
          expect(rulesOf(tenant)).not.toContain(closed);
          rules.delete(closed);
        }
        expect([...rules].toSorted()).toEqual(rulesOf(tenant).toSorted());
        tenant = { ...tenant, facts: { ...tenant.facts, ways: waysOf(tenant.spec) } };
        expect(closedWays(tenant)).toEqual([]);
      }
    }),
  );
});
