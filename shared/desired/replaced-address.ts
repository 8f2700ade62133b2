/**
 * A gateway's public address that is replaced by another: what is wanted while both are accepted, and afterwards. The former one is held for a
 * while, since it is the way back. Pure.
 */
import { type MachineNames, type Names, namesOfAddress } from "../azure/names.ts";
import { gatewayIdOf } from "../api/gateway-id.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { Address, Ground } from "./state.ts";
import { type Target, targetOf } from "./target.ts";

/** Indices among the tenant's regions and the region's machines. */
export interface MachineAt {
  region: number;
  machine: number;
}

/** An address that a gateway has left: nobody else gets it as long as it is held. */
export interface HeldAddress {
  /** Which operation left it. */
  operationId: string;
  gatewayId: string;
  names: Pick<MachineNames, "publicIpAddress" | "dnsLabel">;
  region: { region: string; resourceGroup: string };
  address: Address;
  /** Once the other one is proven. */
  releaseAt?: string | undefined;
}

export const heldAddresses = ({ facts }: Pick<TenantRecord, "facts">): HeldAddress[] =>
  (facts["heldAddresses"] as HeldAddress[] | undefined) ?? [];

/** Undefined for a machine that the tenant has not, or whose address isn't known. */
export function machineOfGateway(tenant: TenantRecord, gatewayId: string): MachineAt | undefined {
  const { names } = targetOf(tenant);
  const ground = tenant.facts["ground"] as Ground | undefined;
  for (const [region, { machines }] of names.regions.entries())
    for (const [machine, { virtualMachine }] of machines.entries())
      if (gatewayIdOf(tenant.id, virtualMachine) === gatewayId)
        return ground?.regions[region]?.machines[machine] && { region, machine };
  return undefined;
}

export function machineAt({ names }: Pick<Target, "names">, { region, machine }: MachineAt): MachineNames {
  const found = names.regions[region]?.machines[machine];
  if (!found) throw new Error(`there is no machine ${machine + 1} in region ${region + 1}`);
  return found;
}

export function addressAt({ regions }: Pick<Ground, "regions">, { region, machine }: MachineAt): Address {
  const found = regions[region]?.machines[machine];
  if (!found) throw new Error(`there is no address of machine ${machine + 1} in region ${region + 1}`);
  return found;
}

/** Numbers go on where any address of this machine ended: a name is never used for another address. */
export function nextNames(machine: MachineNames, held: readonly HeldAddress[], howMany: number): MachineNames[] {
  const used = [machine.publicIpAddress, ...held.map(({ names }) => names.publicIpAddress)].map(numberOf);
  const last = Math.max(...used);
  return Array.from({ length: howMany }, (_, index) => ({ ...machine, ...namesOfAddress(machine, last + 1 + index) }));
}

const numberOf = (publicIpAddress: string): number => Number(/-address-(\d+)$/.exec(publicIpAddress)?.[1] ?? 1);

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

export const withNames = (names: Names, at: MachineAt, { publicIpAddress, dnsLabel }: HeldAddress["names"]): Names => ({
  ...names,
  regions: names.regions.map((region, index) =>
    index === at.region
      ? {
          ...region,
          machines: region.machines.map((one, number) =>
            number === at.machine ? { ...one, publicIpAddress, dnsLabel } : one,
          ),
        }
      : region,
  ),
});
