/**
 * Where in a region its machines go, and of which size (mission A3). What is there keeps its place, since Azure never moves a machine
 * between zones or sets; what is new goes by rule, with more than one choice, so that a zone without capacity stops nobody.
 */
import type { Azure } from "../azure/client.ts";
import { readFailure } from "../azure/owned.ts";
import { byPrice, fits, type Minimum, type Size, type SizeLists, sizeLists } from "../azure/sizes.ts";
import type { MachineNames, MachineRole, RegionNames } from "../azure/names.ts";
import { machineBeside } from "../desired/beside.ts";
import type { Candidate } from "../desired/state.ts";
import { GATEWAY_MINIMUM } from "../desired/minimums.ts";
import { home, roleOf } from "../desired/state.ts";
import type { Target } from "../desired/target.ts";
import { ControlPlaneError } from "../errors.ts";
import type { TenantSpec } from "../tenants/spec.ts";

export interface Placement {
  /** Whether the region's machines stand in an availability set. */
  availabilitySet: boolean;
  /** For each machine, in the order of preference; never empty. */
  machines: Candidate[][];
  /** Indices of those that aren't there yet. */
  missing: number[];
}

interface Existing {
  size: string;
  zone: string | undefined;
  inSet: boolean;
  /** Its creation failed: nothing is lost if another takes its place. */
  failed: boolean;
}

/** A zone without capacity for one size often has it for the next; more than this is a region in trouble. */
const MOST_SIZES = 3;

/** Throws SizeNotAvailable when the region has no size that fits for this subscription, ZonesNotAvailable when the spec wants zones. */
export async function placementOf(
  azure: Azure,
  target: Target,
  index: number,
  sizes: SizeLists = sizeLists(azure, home(target)),
): Promise<Placement> {
  const region = target.names.regions[index];
  if (!region) throw new Error(`the tenant has no region ${index + 1}`);
  const { size, disk, placement } = target.spec.gateway;
  const wanted = { size, disk, minimum: GATEWAY_MINIMUM, field: "spec.gateway.size" };
  return placed(azure, sizes, target, region, region.machines, wanted, placement);
}

/** The same for a machine beside the gateways, which never stands in their set (mission A3). */
export async function rolePlacementOf(
  azure: Azure,
  target: Target,
  role: MachineRole,
  sizes: SizeLists = sizeLists(azure, home(target)),
): Promise<Placement> {
  const { region, machine } = roleOf(target, role);
  const { size, minimum, field } = machineBeside(target.spec, role);
  const wanted = { size, minimum, field, disk: target.spec.gateway.disk };
  const placement = await placed(azure, sizes, target, region, [machine], wanted, "automatic");
  return { ...placement, availabilitySet: false };
}

async function placed(
  azure: Azure,
  sizes: SizeLists,
  target: Target,
  { region, resourceGroup }: RegionNames,
  names: MachineNames[],
  wanted: WantedSize,
  placement: TenantSpec["gateway"]["placement"],
): Promise<Placement> {
  const subscription = home(target);
  const machines: (Existing | undefined)[] = [];
  for (const { virtualMachine: name } of names) machines.push(await existing(azure, { ...subscription, resourceGroup, name }));
  const found = await sizes(region);
  if (found.state !== "present") throw readFailure(`the sizes of ${region}`, found.state === "unknown" ? found : noSizes);
  return decided(machines, chosenSizes(found.actual, wanted, region), { size: wanted.size, placement }, region);
}

interface WantedSize {
  size: string | undefined;
  disk: TenantSpec["gateway"]["disk"];
  minimum: Minimum;
  /** Where the spec names it. */
  field: string;
}

const noSizes = { state: "unknown", reason: { code: "SizesMissing", message: "the region lists none" } } as const;

/** Pure: the rule. */
export function decided(
  machines: (Existing | undefined)[],
  sizes: Size[],
  { size: wanted, placement }: { size?: string | undefined; placement: TenantSpec["gateway"]["placement"] },
  region: string,
): Placement {
  const standing = machines.filter((machine) => machine !== undefined && !machine.failed) as Existing[];
  const zoned = sizes.filter(({ zones }) => zones.length > 0);
  if (placement === "zones" && zoned.length === 0)
    throw new ControlPlaneError("ZonesNotAvailable", `${region} has no availability zones for a size that fits`, 409, false, {
      target: "spec.gateway.placement",
    });
  const inSet =
    placement === "availabilitySet" ||
    (placement === "automatic" && (standing.length > 0 ? standing.some((one) => one.inSet) : zoned.length === 0));
  const inZones =
    placement === "zones" ||
    (placement === "automatic" && !inSet && (standing.length === 0 || standing.some(({ zone }) => zone !== undefined)));
  return {
    availabilitySet: inSet,
    missing: machines.flatMap((machine, index) => (machine === undefined ? [index] : [])),
    machines: machines.map((machine, index) => {
      // Zones that its neighbours stand in can be closed to this subscription by now: then without one rather than nowhere.
      const byRule: Candidate[] =
        inZones && zoned.length > 0
          ? zoned.flatMap(({ name, zones }) => turned(zones, index).map((zone) => ({ size: name, zone })))
          : sizes.map(({ name }) => ({ size: name }));
      if (machine === undefined) return byRule;
      const own: Candidate = { size: wanted ?? machine.size, ...(machine.zone === undefined ? {} : { zone: machine.zone }) };
      if (machine.failed) return [own, ...byRule.filter(({ size, zone }) => size !== own.size || zone !== own.zone)];
      // Asked for otherwise than it stands, it is shown as what it is: a replacement.
      const stands = placement === "automatic" || (inSet === machine.inSet && inZones === (machine.zone !== undefined));
      return [stands ? own : { ...(byRule[0] ?? own), size: own.size }];
    }),
  };
}

/** The machines of a region begin with different zones. */
const turned = (zones: string[], by: number): string[] => zones.map((_, index) => zones[(index + by) % zones.length] ?? "");

function chosenSizes(sizes: Size[], { size: wanted, disk, minimum, field }: WantedSize, region: string): Size[] {
  const sizeMissing = (message: string): ControlPlaneError =>
    new ControlPlaneError("SizeNotAvailable", message, 409, false, { target: field });
  const demand = { minimum, premiumDisks: disk.startsWith("Premium") };
  const fitting = sizes.filter((size) => fits(size, demand));
  if (wanted === undefined) {
    const chosen = byPrice(fitting).slice(0, MOST_SIZES);
    if (chosen.length > 0) return chosen;
    throw sizeMissing(
      `${region} has no size with ${minimum.virtualCpus} processors and ${minimum.memoryInGigabytes} GB for this subscription`,
    );
  }
  const named = sizes.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (!named) throw sizeMissing(`${region} has no size ${wanted}`);
  if (!named.available) throw sizeMissing(`${wanted} is not available for this subscription in ${region}`);
  if (!fitting.includes(named))
    throw sizeMissing(
      `${wanted} has less than ${minimum.virtualCpus} processors and ${minimum.memoryInGigabytes} GB, or is not made for Trusted Launch and ${disk}`,
    );
  return [named];
}

async function existing(azure: Azure, machine: Parameters<Azure["read"]>[0] & { resourceGroup: string; name: string }) {
  const found = await azure.read(machine, async (clients) =>
    (await clients.compute()).virtualMachines.get(machine.resourceGroup, machine.name),
  );
  if (found.state === "unknown") throw readFailure(`virtual machine ${machine.name}`, found);
  if (found.state === "absent") return undefined;
  const { hardwareProfile, zones, availabilitySet, provisioningState } = found.actual;
  return {
    size: hardwareProfile?.vmSize ?? "",
    zone: zones?.[0],
    inSet: availabilitySet?.id !== undefined,
    failed: /^failed$/i.test(provisioningState ?? ""),
  };
}
