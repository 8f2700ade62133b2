/** Public addresses that a tenant's gateways have left: held for a while, since they are the way back. Pure. */
import { gatewayIdOf } from "../api/gateway-id.ts";
import { type AddressNames, type MachineNames, namesOfAddress } from "../azure/names.ts";
import type { TenantRecord } from "../stores/tenants.ts";
import type { MachineAt } from "./replaced-address.ts";
import type { Address, Ground } from "./state.ts";
import { targetOf } from "./target.ts";

/** An address that a gateway has left: nobody else gets it as long as it is held. */
export interface HeldAddress {
  /** Which operation left it. */
  operationId: string;
  gatewayId: string;
  names: AddressNames;
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

/** Numbers go on where any address of this machine ended: a name is never used for another address. */
export function nextNames(machine: MachineNames, held: readonly HeldAddress[], howMany: number): MachineNames[] {
  const used = [machine.publicIpAddress, ...held.map(({ names }) => names.publicIpAddress)].map(numberOf);
  const last = Math.max(...used);
  return Array.from({ length: howMany }, (_, index) => ({ ...machine, ...namesOfAddress(machine, last + 1 + index) }));
}

const numberOf = (publicIpAddress: string): number => Number(/-address-(\d+)$/.exec(publicIpAddress)?.[1] ?? 1);
