/** A tenant's machines, one after another, with what tells their steps and titles apart. */
import type { MachineNames, RegionNames } from "../azure/names.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { Address, Ground } from "./state.ts";
import type { Target } from "./target.ts";

/** The first region and the first machine need no number. Indices begin at 0. */
export const regionSuffix = (region: number): string => (region === 0 ? "" : `-r${region + 1}`);
export const machineSuffix = (region: number, machine: number): string =>
  machine === 0 ? regionSuffix(region) : `${regionSuffix(region)}-m${machine + 1}`;

export interface Title {
  suffix: string;
  /** What a reader needs to tell it from the others: nothing where there is one only. */
  where: string[];
  /** It stands behind a load balancer. */
  balanced: boolean;
}

export const regionTitles = ({ gateway: { regions } }: { gateway: Pick<TenantSpec["gateway"], "regions"> }): Title[] =>
  regions.map(({ name, machines }, index) => ({
    suffix: regionSuffix(index),
    where: regions.length === 1 ? [] : [name],
    balanced: machines > 1,
  }));

export const machineTitles = ({ gateway: { regions } }: { gateway: Pick<TenantSpec["gateway"], "regions"> }): Title[] =>
  regions.flatMap(({ name, machines }, index) =>
    Array.from({ length: machines }, (_, machine) => ({
      suffix: machineSuffix(index, machine),
      where: [...(machines === 1 ? [] : [`machine ${machine + 1}`]), ...(regions.length === 1 ? [] : [name])],
      balanced: machines > 1,
    })),
  );

export interface PlacedMachine {
  region: RegionNames;
  machine: MachineNames;
  address: Address;
  suffix: string;
}

/** Those whose addresses are known. */
export const machinesOf = ({ names }: Pick<Target, "names">, ground: Pick<Ground, "regions">): PlacedMachine[] =>
  names.regions.flatMap((region, index) =>
    region.machines.flatMap((machine, number) => {
      const address = ground.regions[index]?.machines[number];
      return address ? [{ region, machine, address, suffix: machineSuffix(index, number) }] : [];
    }),
  );
