/** Which machines stay and which go when a tenant's spec asks for another number of them: for any numbers. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { namesOf } from "../../shared/azure/names.ts";
import { goingFrom, narrowed, unbalancedIn, widest } from "../../shared/desired/standing.ts";
import type { Ground } from "../../shared/desired/state.ts";

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
