/**
 * What stands of a tenant whose spec asks for another number of machines, or for fewer ways of the pilot's mail: where mail goes until the
 * new way is proven, and how far what stands and what is wanted reach together. Pure.
 */
import type { Names } from "../azure/names.ts";
import type { Ground } from "./state.ts";
import type { ForwardingKind } from "./ways.ts";

export interface Standing {
  /** Where Exchange Online delivers to, as the last onboarding proved it; left out where that stays, or was never proven. */
  smartHosts?: string[] | undefined;
  /**
   * How Exchange Online knows the machines that stand, where others join them and the spec has a certificate: then what names addresses knows
   * the new ones before they are built. Left out by onboardings that were begun before that was so.
   */
  knownBy?: "address" | "certificate" | undefined;
  /** Of all machines: the spec's, then those that go. */
  names: Names;
  /** Forwarding rules that the spec has no more, the widest first; left out where there are none. */
  closedWays?: ForwardingKind[] | undefined;
}

/** Machines that were begun once keep their names until they are gone. */
export const widest = (names: Names, known: Names | undefined): Names => ({
  ...names,
  regions: names.regions.map((region) => {
    const begun = known?.regions.find(({ region: name }) => name === region.region)?.machines ?? [];
    return { ...region, machines: [...region.machines, ...begun.slice(region.machines.length)] };
  }),
});

/** Of the machines that the spec has; one machine needs no load balancer. */
export const narrowed = (ground: Ground, { regions }: Pick<Names, "regions">): Ground => ({
  ...ground,
  regions: regions.map(({ machines }, index) => {
    const { loadBalancer, machines: addresses, ...more } = ground.regions[index] ?? { machines: [] };
    const kept = { ...more, machines: addresses.slice(0, machines.length) };
    return machines.length > 1 && loadBalancer ? { loadBalancer, ...kept } : kept;
  }),
});

export interface Going {
  region: number;
  machine: number;
}

/** Machines that the spec no longer has. */
export const goingFrom = (wide: Counted, { regions }: Counted): Going[] =>
  wide.regions.flatMap(({ machines }, region) =>
    machines.flatMap((_, machine) => (machine < (regions[region]?.machines.length ?? 0) ? [] : [{ region, machine }])),
  );

/** Regions whose load balancer has nothing left to balance. */
export const unbalancedIn = (wide: Counted, { regions }: Counted): number[] =>
  wide.regions.flatMap(({ machines }, region) =>
    machines.length > 1 && (regions[region]?.machines.length ?? 0) <= 1 ? [region] : [],
  );

interface Counted {
  regions: { machines: unknown[] }[];
}

export const countsOf = (regions: Counted["regions"]): number[] => regions.map(({ machines }) => machines.length);
