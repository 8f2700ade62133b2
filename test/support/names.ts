/** Names of a tenant with one machine in one region, side by side. */
import { type MachineNames, type Names, namesOf, type RegionNames } from "../../shared/azure/names.ts";
import type { Owner } from "../../shared/resources/resource.ts";

export function singleGatewayNames(owner: Owner, region: string): Names & RegionNames & MachineNames {
  const names = namesOf({ ...owner, regions: [{ name: region, machines: 1 }] });
  const [only] = names.regions;
  const [machine] = only?.machines ?? [];
  if (!only || !machine) throw new Error("a region has a machine");
  return { ...names, ...only, ...machine };
}
