/** A gateway's public address that is replaced by another: what is wanted while both are accepted, and afterwards. Pure. */
import type { AddressNames, MachineNames, Names } from "../azure/names.ts";
import type { Address, Ground } from "./state.ts";

/** Indices among the tenant's regions and the region's machines. */
export interface MachineAt {
  region: number;
  machine: number;
}

export function machineAt({ names }: { names: Names }, { region, machine }: MachineAt): MachineNames {
  const found = names.regions[region]?.machines[machine];
  if (!found) throw new Error(`there is no machine ${machine + 1} in region ${region + 1}`);
  return found;
}

export function addressAt({ regions }: Pick<Ground, "regions">, { region, machine }: MachineAt): Address {
  const found = regions[region]?.machines[machine];
  if (!found) throw new Error(`there is no address of machine ${machine + 1} in region ${region + 1}`);
  return found;
}

/** Mail leaves from it, or is about to, beside the others. */
export const alsoFrom = (ground: Ground, { region: at }: Pick<MachineAt, "region">, address: Address): Ground => ({
  ...ground,
  regions: ground.regions.map((region, index) =>
    index === at ? { ...region, machines: [...region.machines, address] } : region,
  ),
});

/** It stands where the former one stood. */
export const withAddress = <Some extends Pick<Ground, "regions">>(ground: Some, at: MachineAt, address: Address): Some => ({
  ...ground,
  regions: ground.regions.map((region, index) =>
    index === at.region
      ? { ...region, machines: region.machines.map((one, number) => (number === at.machine ? address : one)) }
      : region,
  ),
});

export const withNames = (names: Names, at: MachineAt, { publicIpAddress, dnsLabel }: AddressNames): Names => ({
  ...names,
  regions: names.regions.map((region, index) =>
    index === at.region
      ? {
          ...region,
          machines: region.machines.map((one, number) => (number === at.machine ? { ...one, publicIpAddress, dnsLabel } : one)),
        }
      : region,
  ),
});

/** With the names of the addresses that the machines got, where a blocklist had the first ones. */
export const asAddressed = <Some extends { names: Names }>(target: Some, regions: Ground["regions"]): Some =>
  regions.reduce(
    (of, { machines }, region) =>
      machines.reduce(
        (one, { names }, machine) => (names ? { ...one, names: withNames(one.names, { region, machine }, names) } : one),
        of,
      ),
    target,
  );
